"""What a person does with a browser: looks, clicks, types, and goes through a page by keyboard alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from support.outside.browser import Browser
from support.waiting import wait_until

__all__ = ["PHONE", "WIDE", "Hands"]

WIDE: Final = 1200
PHONE: Final = 390
KEYS: Final = {
    "Tab": {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9},
    "Enter": {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"},
    "Space": {"key": " ", "code": "Space", "windowsVirtualKeyCode": 32, "text": " "},
}
MOST_STOPS: Final = 80
"""No page has so many things to stop at."""


@dataclass
class Hands:
    """`base_url` is the dashboard's; it works the same whether the page's own scripts may run or not."""

    browser: Browser
    base_url: str

    def open(self, path: str) -> None:
        self.browser.open(self.base_url + path)

    def see(self, script: str) -> Any:
        return self.browser.evaluate(script)

    def text(self, selector: str = "main") -> str:
        return str(self.see(f"document.querySelector({json.dumps(selector)}).innerText"))

    def wait(self, script: str) -> None:
        """For an expression to be true, also while the page gives way to another."""

        def is_so() -> bool:
            with suppress(AssertionError):
                return bool(self.browser.evaluate(f"Boolean({script})"))
            return False

        wait_until(is_so, f"in the page: {script}")

    def leads(self, do: Callable[[], None], to: str) -> None:
        """Does something after which another page, whose path begins so, is there."""
        self.see("window.isOld = true")
        do()
        begins = json.dumps(to)
        self.wait(f"!window.isOld && document.readyState === 'complete' && location.pathname.startsWith({begins})")

    def click(self, selector: str) -> None:
        """With the mouse, on the middle of it."""
        place = self.see(
            f"(() => {{ const it = document.querySelector({json.dumps(selector)});"
            " it.scrollIntoView({block: 'center'}); const box = it.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.browser.send(
                "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1
            )

    def write(self, selector: str, text: str) -> None:
        self.click(selector)
        self.type(text)

    def type(self, text: str) -> None:
        self.browser.send("Input.insertText", text=text)

    def choose(self, selector: str, value: str) -> None:
        """Of a list; what it drops down is the browser's own, outside of the page."""
        self.see(f"document.querySelector({json.dumps(selector)}).value = {json.dumps(value)}")

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            self.browser.send("Input.dispatchKeyEvent", type=kind, **KEYS[key])

    def tab_to(self, selector: str) -> None:
        """By the Tab key alone; what is stopped at can be seen to be."""
        for _ in range(MOST_STOPS):
            self.press("Tab")
            if self.see(f"document.activeElement.matches({json.dumps(selector)})"):
                style = self.see("getComputedStyle(document.activeElement).outlineStyle")
                assert style != "none", f"nothing shows that {selector} has the focus"
                return
        raise AssertionError(f"{selector} cannot be reached by Tab")

    def sign_in(self, key: str) -> None:
        self.browser.send("Network.clearBrowserCookies")
        self.open("/sign-in")
        self.write("#key", key)
        self.leads(lambda: self.click("form[action='/sign-in'] button"), "/")

    def submit(self, action: str, to: str) -> None:
        """Clicks the button of the form of this action, in what has to be opened for it."""
        form = f"form[action={json.dumps(action)}]"
        self.see(f"document.querySelector({json.dumps(form)}).closest('details')?.setAttribute('open', '')")
        self.leads(lambda: self.click(f"{form} button"), to)

    def may_run_scripts(self, *, allowed: bool) -> None:
        """Whether the pages' own scripts run."""
        self.browser.send("Emulation.setScriptExecutionDisabled", value=not allowed)

    def violations(self) -> list[dict[str, Any]]:
        """What axe-core finds, by its rules for people who use no mouse, no colours, or no screen."""
        self.see((resources.files("axe_core_python") / "axe.min.js").read_text() + ";0")
        found = self.see("axe.run().then((found) => JSON.stringify(found.violations))")
        violations: list[dict[str, Any]] = json.loads(found)
        return violations
