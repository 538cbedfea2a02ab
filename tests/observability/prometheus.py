"""The real Prometheus and promtool: found, started on loopback, asked."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from observability.files import ALERTS, PROMETHEUS, REPOSITORY
from support.server import free_port
from support.skips import skip_for_want_of
from support.waiting import HANGS_S, wait_until

__all__ = ["Prometheus", "end", "promtool", "running_prometheus", "tool"]

UNPACKED: Final = REPOSITORY / ".venv" / "prometheus" / "usr" / "bin"
"""Where `make observability-test` unpacks Debian's package."""
STOP_S: Final = 15.0
TOOL_S: Final = 60.0


def tool(name: str) -> str:
    """The program's path; skips the test when it is nowhere."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{UNPACKED}")
    if found is None:
        skip_for_want_of("Prometheus")
    return found


def promtool(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool("promtool"), *arguments], cwd=folder, check=False, capture_output=True, text=True, timeout=TOOL_S
    )


@dataclass(frozen=True)
class Prometheus:
    """A running one."""

    port: int

    def get(self, path: str, **parameters: str | float) -> Any:
        answer = httpx.get(f"http://127.0.0.1:{self.port}/api/v1/{path}", params=parameters, timeout=HANGS_S)
        assert answer.status_code == 200, f"{path} {parameters}: {answer.text}"
        return answer.json()["data"]

    def values(self, expression: str, *, ended_at: float, seconds: float, is_instant: bool) -> list[float]:
        """Every finite value of every series, in that time or at its end."""
        if is_instant:
            found = self.get("query", query=expression, time=ended_at)["result"]
            samples = [series["value"] for series in found]
        else:
            span: dict[str, str | float] = {"start": ended_at - seconds, "end": ended_at, "step": "1s"}
            found = self.get("query_range", query=expression, **span)["result"]
            samples = [sample for series in found for sample in series["values"]]
        return [value for value in (float(text) for _, text in samples) if math.isfinite(value)]

    def wait_scraped(self) -> None:
        """Until every target is up."""

        def are_up() -> bool:
            targets = self.get("targets", state="active")["activeTargets"]
            return bool(targets) and all(target["health"] == "up" for target in targets)

        wait_until(are_up, "every target is scraped")


def _local_configuration(folder: Path, targets: Mapping[str, int]) -> Path:
    """Ours, with jobs at ports of this machine and every interval a second; the alerts lie beside it."""
    configuration = yaml.safe_load(PROMETHEUS.read_text(encoding="utf-8"))
    configuration["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    for job in configuration["scrape_configs"]:
        job["static_configs"] = [{"targets": [f"127.0.0.1:{targets[job['job_name']]}"]}]
    shutil.copy(ALERTS, folder)
    path = folder / PROMETHEUS.name
    path.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    return path


@contextlib.contextmanager
def running_prometheus(folder: Path, targets: Mapping[str, int]) -> Iterator[Prometheus]:
    """With our configuration and our alerts; ended at the end."""
    port = free_port()
    arguments = [
        tool("prometheus"),
        f"--config.file={_local_configuration(folder, targets)}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with tempfile.NamedTemporaryFile(prefix="prometheus-", suffix=".log") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_ready(process, port, Path(log.name))
            yield Prometheus(port)
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Asked first, then killed."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    def is_ready() -> bool:
        assert process.poll() is None, f"Prometheus ended while it was starting:\n{log.read_text()}"
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{port}/-/ready", timeout=HANGS_S).status_code == 200
        return False

    wait_until(is_ready, "Prometheus is ready")
