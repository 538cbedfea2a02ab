"""The pod's two containers as processes: Triton with the chart's own arguments, the frontend with its environment.

What differs from a pod: Triton is the embedded one, its backends come from the cache, and the paths are this machine's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from helm.chart import REPOSITORY, Manifest, containers_of, only, render
from reflex_frontend.embedded.command import Run, server_environment
from reflex_frontend.embedded.layout import backend_directory, cache_candidates, cache_folder
from reflex_frontend.embedded.locate import locate
from support.server import free_port, running_server
from support.waiting import HANGS_S, wait_until

pytestmark = pytest.mark.slow

MODELS = "/models/repository"
LOOPBACK = ("127.0.0.1", "::ffff:127.0.0.1")
"""gRPC binds IPv4 through an IPv6 socket."""
PORTS = {"8001": "grpc", "8002": "metrics", "8003": "http", "8000": "frontend"}


@dataclass(frozen=True)
class Pod:
    """The rendered pod, its ports moved to free ones."""

    containers: dict[str, Manifest]
    ports: dict[str, int]
    triton: psutil.Process
    is_up_at_once: bool = False
    """What the startup probe says when Triton's process has just been started."""

    def command(self, container: str, *path: str) -> list[str]:
        """A probe's or hook's command, for this pod's ports."""
        found: Any = self.containers[container]
        for key in path:
            found = found[key]
        return [self.moved(word) for word in found["exec"]["command"]]

    def moved(self, text: str) -> str:
        for port, name in PORTS.items():
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{self.ports[name]}")
            text = text.replace(f"/{port} ", f"/{self.ports[name]} ").replace(f"/{port})", f"/{self.ports[name]})")
            text = text.replace(f"-port={port}", f"-port={self.ports[name]}")
        return text


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    spec = only(render({"monitoring": {"tritonMetrics": True}}), "Deployment")["spec"]["template"]["spec"]
    ports = {name: free_port() for name in PORTS.values()}
    # Triton takes no path with a space, which the one of this checkout may have.
    models = shutil.copytree(REPOSITORY / "model_repository", tmp_path_factory.mktemp("pod") / "models")
    with triton_of(containers_of(spec), ports, models) as running:
        probe = subprocess.run(running.command("triton", "startupProbe"), stderr=subprocess.DEVNULL, check=False)
        yield replace(running, is_up_at_once=probe.returncode == 0)


@contextlib.contextmanager
def triton_of(containers: dict[str, Manifest], ports: dict[str, int], models: Path) -> Iterator[Pod]:
    installation = locate()
    backends = backend_directory(installation, cache_folder(cache_candidates(os.environ)))
    region = f"helm_test_{os.getpid()}_"
    run = Run(installation, backends, models, region, 1)
    with tempfile.TemporaryFile() as log:
        made = Pod(containers, ports, psutil.Process())
        arguments = [made.moved(word).replace(MODELS, str(run.repository)) for word in containers["triton"]["args"]]
        arguments = [word.replace("$(POD_UID)", "0b5c") for word in arguments[1:]]
        local = [f"--backend-directory={backends}", f"--backend-config=python,shm-region-prefix-name={region}"]
        process = subprocess.Popen(
            [str(installation.server), *arguments, *local],
            env=server_environment(run, os.environ), stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield Pod(containers, ports, psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait(HANGS_S)


def test_the_startup_probe_fails_first_then_succeeds_and_the_frontend_serves(pod: Pod) -> None:
    assert not pod.is_up_at_once
    wait_for(pod.command("triton", "startupProbe"))

    environment = {
        each["name"]: pod.moved(each["value"]) for each in pod.containers["frontend"]["env"] if "value" in each
    }
    environment |= {"REFLEX_MODEL_REPOSITORY": str(REPOSITORY / "model_repository")}
    with running_server(env=environment) as server:
        act = (REPOSITORY / "examples" / "act.json").read_bytes()
        answer = httpx.post(f"{server.base_url}/act", content=act, headers={"Content-Type": "application/json"})
        assert answer.status_code == 200
        assert server.children() == [], "the frontend started a Triton of its own"


def test_triton_listens_on_loopback_but_for_its_metrics(pod: Pod) -> None:
    wait_for(pod.command("triton", "livenessProbe"))
    listening = {each.laddr for each in pod.triton.net_connections("tcp") if each.status == psutil.CONN_LISTEN}
    reachable = {address.port for address in listening if address.ip not in LOOPBACK}

    assert {address.port for address in listening} >= {pod.ports[name] for name in ("grpc", "http", "metrics")}
    assert reachable == {pod.ports["metrics"]}


def test_triton_s_admin_apis_are_refused_without_the_pod_s_key(pod: Pod) -> None:
    wait_for(pod.command("triton", "livenessProbe"))
    index = f"http://127.0.0.1:{pod.ports['http']}/v2/repository/index"

    assert httpx.post(index).status_code == 403
    assert httpx.post(index, headers={"reflex": "0b5c"}).status_code == 200


def test_the_autoscaling_query_asks_for_metrics_that_triton_has(pod: Pod) -> None:
    wait_for(pod.command("triton", "livenessProbe"))
    text = httpx.get(f"http://127.0.0.1:{pod.ports['metrics']}/metrics").text

    for metric in ("nv_inference_queue_duration_us", "nv_inference_request_success"):
        assert f'{metric}{{model="demo_denoise"' in text


def test_triton_waits_until_the_frontend_has_gone(pod: Pod) -> None:
    hook = pod.command("triton", "lifecycle", "preStop")
    with frontend_on(pod.ports["frontend"]):
        waiting = subprocess.Popen(hook)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(1.2)
    assert waiting.wait(HANGS_S) == 0


@contextlib.contextmanager
def frontend_on(port: int) -> Iterator[None]:
    """Something that listens where the frontend would."""
    listening = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    process = subprocess.Popen(
        listening, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=Path(__file__).parent
    )
    try:
        wait_for(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}"])
        yield
    finally:
        process.kill()
        process.wait()


def wait_for(probe: list[str]) -> None:
    wait_until(
        lambda: subprocess.run(probe, stderr=subprocess.DEVNULL, check=False).returncode == 0, f"{probe} succeeds"
    )
