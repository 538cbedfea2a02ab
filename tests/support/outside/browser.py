"""A headless Chromium that a test drives by the DevTools protocol: it opens pages and runs scripts in them."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from websockets.sync.client import ClientConnection, connect

from support.skips import skip_for_want_of
from support.waiting import HANGS_S, wait_until

__all__ = ["Browser", "running_browser"]

OPTIONS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-component-update", "--hide-scrollbars",
    "--disable-background-networking", "--disable-sync", "--disable-quic", "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
COMPLAINTS: Final = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")


@dataclass
class Browser:
    """One tab. `requests` are the addresses that its pages asked for, `complaints` what they wrote to the console."""

    connection: ClientConnection
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _sent: int = 0

    def open(self, url: str) -> None:
        """Forgets what pages before did."""
        self.send("Page.navigate", url="about:blank")
        self.until("location.href === 'about:blank'")
        self.requests.clear()
        self.complaints.clear()
        self.send("Page.navigate", url=url)
        self.until(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'")

    def evaluate(self, script: str) -> Any:
        """The value of an expression, or of what it promises; a script that throws fails the test."""
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script: str) -> None:
        """Waits for an expression to be true."""
        wait_until(lambda: self.evaluate(f"Boolean({script})"), f"in the page: {script}")

    def resize(self, width: int, height: int = 900, *, is_dark: bool = False) -> None:
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self) -> bytes:
        """The whole page as a PNG."""
        answer = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    def choose(self, selector: str, file: Path) -> None:
        """Puts a file into a file input, as a person does."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its result; events that come meanwhile are kept."""
        self._sent += 1
        self.connection.send(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.connection.recv(timeout=HANGS_S))
            if message.get("id") == self._sent:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _note(self, event: dict[str, Any]) -> None:
        if event["method"] == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])
        elif event["method"] in COMPLAINTS:
            self.complaints.append(json.dumps(event["params"]))


@contextlib.contextmanager
def running_browser(folder: Path) -> Iterator[Browser]:
    """Skips the test where there is no Chromium. It resolves no name, so it reaches nothing but addresses."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        skip_for_want_of("chromium")
    profile = folder / "profile"
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [chromium, *OPTIONS, f"--user-data-dir={profile}", "about:blank"], stdout=log, stderr=log
        )
        try:
            with connect(_tab_of(profile / "DevToolsActivePort"), max_size=None, open_timeout=HANGS_S) as connection:
                browser = Browser(connection)
                for domain in ("Page", "Runtime", "Network", "Log"):
                    browser.send(f"{domain}.enable")
                yield browser
                browser.send("Browser.close")
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


def _tab_of(port_file: Path) -> str:
    wait_until(lambda: port_file.is_file() and port_file.read_text().count("\n"), "Chromium listens")
    port = int(port_file.read_text().splitlines()[0])
    tabs = httpx.get(f"http://127.0.0.1:{port}/json/list", timeout=HANGS_S, verify=False).json()
    return str(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))
