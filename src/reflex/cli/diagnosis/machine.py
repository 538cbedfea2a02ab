"""Finds the facts about this machine that `checks.py` judges. Nothing here starts, changes or imports a server."""

from __future__ import annotations

import http.client
import importlib
import importlib.metadata
import importlib.util
import platform
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import reflex
from reflex.cli.diagnosis import checks
from reflex.cli.diagnosis.checks import Check
from reflex.gpus import Machine, read_machine
from reflex.triton_wheel import PYTHON_VERSION, find_libpython, pytriton_folder

__all__ = ["check_machine"]

# The modules by which one tells that an extra is there.
MODULES_OF_EXTRA: Final[Mapping[str, tuple[str, ...]]] = {
    "serve": ("fastapi", "grpc", "hpack", "orjson", "prometheus_client", "pydantic_settings", "simplejpeg",
              "tokenizers", "tritonclient", "uvicorn"),
    "embedded": ("pytriton", "onnxruntime"),
}  # fmt: skip
DRIVER_TIMEOUT_S: Final = 10
HEALTH_TIMEOUT_S: Final = 1
HEALTH_BYTES: Final = 64 * 1024


def check_machine(port: int) -> Iterator[Check]:
    """Every check in the order in which one would repair; `port` is where `reflex serve` would listen."""
    version = (sys.version_info.major, sys.version_info.minor)
    pytriton = pytriton_folder()
    yield checks.check_python(version)
    yield checks.check_shadowing(_owners_of_reflex(), reflex.__version__, _local_reflex(Path.cwd()))
    for extra, modules in MODULES_OF_EXTRA.items():
        yield checks.check_extra(extra, [name for name in modules if importlib.util.find_spec(name) is None])
    yield checks.check_glibc(*platform.libc_ver())
    yield checks.check_libpython(version, find_libpython(PYTHON_VERSION))
    yield checks.check_tritonserver(pytriton)
    yield checks.check_stub(pytriton, version)
    yield checks.check_onnxruntime(*_onnxruntime())
    problem = port_problem(port)
    yield checks.check_port(port, problem, None if problem is None else server_at(port))
    machine = _machine()
    yield checks.check_gpu(machine)
    yield from checks.check_devices(machine)


def port_problem(port: int) -> str | None:
    """Why nothing can listen on 127.0.0.1:`port`; None when it can."""
    with socket.socket() as probe:
        # As servers do: a connection that closed a moment ago must not count as somebody listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError as exc:
            return exc.strerror
    return None


def server_at(port: int) -> str | None:
    """The policy and status of the Reflex that listens on this port of this machine; None when it is something else."""
    from reflex.wire import parse_health

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HEALTH_TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        report = parse_health(connection.getresponse().read(HEALTH_BYTES))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    told = None if report is None else f"{report.get('model_version') or 'no policy'}, {report['status']}"
    return told if told is not None and told.isprintable() else None


def _onnxruntime() -> tuple[str | None, str | None]:
    if importlib.util.find_spec("onnxruntime") is None:
        return None, None
    try:
        module = importlib.import_module("onnxruntime")
    except (ImportError, OSError) as exc:
        return None, f"is installed but cannot be imported: {exc}"
    return str(module.__version__), None


def _machine() -> Machine | None:
    """GPUs, driver and libraries; None when the driver does not answer, which nothing interrupts."""
    found: list[Machine] = []
    reading = threading.Thread(target=lambda: found.append(read_machine()), daemon=True)
    reading.start()
    reading.join(DRIVER_TIMEOUT_S)
    return found[0] if found else None


def _owners_of_reflex() -> dict[str, str]:
    """Distributions that put a package `reflex` on the path, with their versions."""
    owners = {}
    for name in ("reflex-act", *importlib.metadata.packages_distributions().get("reflex", [])):
        try:
            owners[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return owners


def _local_reflex(directory: Path) -> Path | None:
    ours = Path(reflex.__file__).parent
    candidates = (directory / "reflex", directory / "reflex.py")
    return next((path for path in candidates if path.exists() and path.resolve() != ours.resolve()), None)
