from __future__ import annotations

import ast
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex.gpus import Driver, Gpu, Libraries, Machine
from reflex_frontend.embedded import __main__ as entry
from reflex_frontend.embedded import standalone
from reflex_frontend.embedded.standalone import command_and_environment, is_ready, is_there
from support.promise import Promise
from support.server import free_port
from support.waiting import HANGS_S, wait_until

REPOSITORY = Path(__file__).parents[4]
ON_CUDA = Libraries("1.31.1", "13.0", ("onnxruntime-gpu",))


@pytest.fixture
def backends(tmp_path: Path) -> Path:
    return tmp_path / "backends"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The repository that is shipped, at a path that Triton can hand to its models wherever this folder lies."""
    link = tmp_path / "models"
    link.symlink_to(REPOSITORY / "model_repository")
    return link


@pytest.fixture
def http_status(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a server that answers everything with the parameter."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_the_arguments_reach_tritonserver_unchanged_and_the_backends_are_ours(backends: Path, models: Path) -> None:
    backends.mkdir()
    arguments = [f"--model-repository={models}", "--load-model=*"]

    command, environment = command_and_environment(arguments, {"PATH": "/bin", "PYTHONPATH": "/ros"}, backends)

    assert command[0].endswith("/bin/tritonserver")
    assert command[1:3] == arguments
    [option] = command[3:]
    assert (Path(option.removeprefix("--backend-directory=")) / "onnxruntime" / "model.py").is_file()
    assert "nvidia_pytriton.libs" in environment["LD_LIBRARY_PATH"]
    assert "PYTHONPATH" not in environment


def test_a_device_comes_by_a_variable_and_is_the_processor_without(
    backends: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backends.mkdir()
    gpu = Machine(Driver((13, 0), "580.1", (Gpu(0, "NVIDIA H200", (9, 0), 2**37),)), ON_CUDA)
    monkeypatch.setattr(standalone, "read_machine", lambda: gpu)

    def told(**variables: str) -> dict[str, str]:
        return command_and_environment([f"--model-repository={models}"], {"PATH": "/bin", **variables}, backends)[1]

    assert told(REFLEX_DEVICE="auto")["REFLEX_ONNX_DEVICE"] == "cuda"
    assert "REFLEX_ONNX_DEVICE" not in told()
    with pytest.raises(SetupError, match="--device trt-rtx: NVIDIA H200"):
        told(REFLEX_DEVICE="trt-rtx")
    with pytest.raises(SetupError, match="REFLEX_DEVICE: must be one of auto, cpu, cuda, trt-rtx"):
        told(REFLEX_DEVICE="gpu")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs --model-repository"),
        (["--model-repository=/nowhere"], "there is no such folder"),
        (["--model-repository=/proc"], "holds no model"),
    ],
)
def test_a_repository_that_cannot_be_served_is_refused_in_words(
    arguments: list[str], message: str, backends: Path
) -> None:
    with pytest.raises(SetupError, match=message):
        command_and_environment(arguments, {}, backends)


def test_a_repository_that_triton_could_not_hand_to_its_models_is_refused_in_words(
    tmp_path: Path, backends: Path
) -> None:
    (tmp_path / "my models").mkdir()
    with pytest.raises(SetupError, match="no path with a space"):
        command_and_environment([f"--model-repository={tmp_path / 'my models'}"], {}, backends)


@pytest.mark.slow
@pytest.mark.parametrize(("http_status", "ready"), [(200, True), (400, False)], indirect=["http_status"])
def test_it_is_ready_when_triton_says_so(http_status: int, ready: bool) -> None:
    assert is_ready(http_status) is ready


def test_it_is_not_ready_when_nobody_listens() -> None:
    assert not is_ready(free_port())


def test_a_host_is_there_when_its_name_has_an_address() -> None:
    assert is_there("localhost")
    assert not is_there("triton-gpu.invalid")


def test_a_name_that_nobody_answers_for_costs_no_more_than_the_deadline(
    monkeypatch: pytest.MonkeyPatch, promise: Promise
) -> None:
    never = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: never.wait(2 * HANGS_S))
    started = time.monotonic()

    assert not is_there("triton-gpu", within_s=0.1)

    promise("a name that nobody answers for costs its deadline", time.monotonic() - started, at_most=10)
    never.set()


def test_beside_a_triton_on_the_gpu_it_does_nothing_is_healthy_and_ends_on_sigterm(tmp_path: Path) -> None:
    marker = tmp_path / "standing-aside"
    code = f"""
import pathlib, sys
from reflex_frontend.embedded import __main__ as entry
entry.STANDING_ASIDE = pathlib.Path({str(marker)!r})
sys.exit(entry.main(["tritonserver", "--model-repository=/nowhere"]))
"""
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "STAND_ASIDE_FOR": "localhost"})
    wait_until(lambda: marker.exists() or process.poll() is not None, "it stands aside")
    assert process.poll() is None

    process.send_signal(signal.SIGTERM)

    assert process.wait(HANGS_S) == 0
    assert not marker.exists()


def test_it_is_healthy_while_it_stands_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "standing-aside"
    monkeypatch.setattr(entry, "STANDING_ASIDE", marker)
    healthy = ["healthy", "--port", str(free_port())]

    assert entry.main(healthy) == 1
    marker.touch()
    assert entry.main(healthy) == 0


def test_a_refusal_is_one_line_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(entry, "STANDING_ASIDE", tmp_path / "standing-aside")
    monkeypatch.delenv("STAND_ASIDE_FOR", raising=False)

    assert entry.main(["tritonserver", "--model-repository=/nowhere"]) == 1
    assert capsys.readouterr().err == "reflex: /nowhere: there is no such folder; mount a model repository there\n"


@pytest.mark.slow
def test_triton_serves_the_demo_with_the_flags_of_a_container_and_stops_on_sigterm(
    backends: Path, models: Path
) -> None:
    assert entry.main(["prepare", "--backends", str(backends)]) == 0
    ports = [free_port() for _ in range(2)]
    flags = [
        f"--model-repository={models}", "--model-control-mode=explicit", "--load-model=*",
        "--disable-auto-complete-config", "--grpc-address=127.0.0.1", f"--grpc-port={ports[0]}",
        "--http-address=127.0.0.1", f"--http-port={ports[1]}", "--allow-metrics=false", "--exit-timeout-secs=8",
        "--backend-config=python,stub-timeout-seconds=120",
    ]  # fmt: skip
    code = f"""
import pathlib, sys
from reflex_frontend.embedded import __main__ as entry
entry.BACKENDS = pathlib.Path({str(backends)!r})
sys.exit(entry.main(["tritonserver", *{flags!r}]))
"""
    log = backends.with_name("triton.log")
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-c", code], stderr=output, stdout=output)
    try:
        try:
            wait_until(lambda: process.poll() is not None or is_ready(ports[1]), "it is ready", timeout_s=180)
        except AssertionError as exc:
            exc.add_note(log.read_text())
            raise
        assert process.poll() is None, log.read_text()
        socket.create_connection(("127.0.0.1", ports[0]), timeout=HANGS_S).close()
        process.terminate()
        assert process.wait(HANGS_S) == 0
    finally:
        process.kill()
        process.wait()


def test_the_triton_image_needs_nothing_but_python_for_it() -> None:
    """Its environment has what the models need, and neither pydantic nor tritonclient."""
    program = (
        "import sys, reflex_frontend.embedded.__main__\n"
        "print([name for name, module in sys.modules.items()"
        " if 'site-packages' in (getattr(module, '__file__', None) or '') and '.' not in name])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert [name for name in ast.literal_eval(done.stdout) if not name.startswith(("_", "reflex"))] == []
