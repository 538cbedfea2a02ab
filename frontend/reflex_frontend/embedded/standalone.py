"""The embedded Triton as a server of its own, in a container: what the CPU Triton image runs.

The embedded Triton is watched by the frontend that started it. This one *is* the container's process, and whoever runs
the container restarts it. It takes the command line of NVIDIA's container, so that one configuration fits both.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from reflex.errors import SetupError
from reflex.gpus import DEVICES, read_machine
from reflex_frontend.embedded.command import Run, server_environment
from reflex_frontend.embedded.cores import default_threads, usable_cores
from reflex_frontend.embedded.device import DeviceInUse
from reflex_frontend.embedded.layout import backend_directory, is_shell_safe
from reflex_frontend.embedded.locate import locate

__all__ = ["command_and_environment", "is_ready", "is_there", "prepare", "stand_aside"]

GRPC_PORT: Final = 8001
READY_TIMEOUT_S: Final = 3.0
NAME_TIMEOUT_S: Final = 1.0
REPOSITORY_OPTION: Final = "--model-repository="


def prepare(backends: Path) -> None:
    """Write the backend directory when the image is built, so that its root can be read-only when it runs."""
    backends.mkdir(parents=True, exist_ok=True)
    backend_directory(locate(), backends)


def command_and_environment(
    arguments: Sequence[str], inherited: Mapping[str, str], backends: Path
) -> tuple[list[str], dict[str, str]]:
    """For exec: tritonserver with `arguments` and our backends; `SetupError` when it could not serve."""
    repository = _repository(arguments)
    installation = locate()
    directory = backend_directory(installation, backends)
    run = Run(
        installation=installation,
        backends=directory,
        repository=repository,
        region_prefix="reflex_",
        threads=default_threads(usable_cores()),
        device=_device(inherited).environment(inherited, directory, backends),
    )
    command = [str(installation.server), *arguments, f"--backend-directory={run.backends}"]
    return command, server_environment(run, inherited)


def _device(inherited: Mapping[str, str]) -> DeviceInUse:
    """What REFLEX_DEVICE says, the processor without it; whoever runs the container restarts it on no other device."""
    wanted = inherited.get("REFLEX_DEVICE") or "cpu"
    known = next((device for device in DEVICES if device == wanted), None)
    if known is None:
        raise SetupError(f"REFLEX_DEVICE: must be one of {', '.join(DEVICES)}")
    return DeviceInUse(known, None if known == "cpu" else read_machine())


def is_ready(port: int) -> bool:
    """Whether the Triton whose HTTP port that is says that every model is loaded."""
    connection = HTTPConnection("127.0.0.1", port, timeout=READY_TIMEOUT_S)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def is_there(host: str, within_s: float = NAME_TIMEOUT_S) -> bool:
    """Whether the network knows a container of that name; a stopped one is not known.

    The engine itself answers for its containers, at once. For another name it asks servers that a network without a way
    out never reaches, so a late answer is a no.
    """
    found = threading.Event()

    def look_up() -> None:
        with contextlib.suppress(OSError):
            socket.getaddrinfo(host, GRPC_PORT)
            found.set()

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(within_s)
    return found.is_set()


def stand_aside(marker: Path) -> None:
    """Do nothing until SIGTERM, and leave `marker` for the health check while that lasts."""
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    marker.touch()
    signal.sigwait(stop)
    marker.unlink(missing_ok=True)


def _repository(arguments: Sequence[str]) -> Path:
    """What Triton would say less plainly about a repository is said here."""
    given = [argument.removeprefix(REPOSITORY_OPTION) for argument in arguments if REPOSITORY_OPTION in argument]
    if not given:
        raise SetupError("tritonserver needs --model-repository=FOLDER")
    repository = Path(given[-1])
    if not repository.is_dir():
        raise SetupError(f"{repository}: there is no such folder; mount a model repository there")
    if not is_shell_safe(repository):
        raise SetupError(f"{repository}: Triton takes no path with a space or a special character; mount it elsewhere")
    if not any(repository.glob("*/config.pbtxt")):
        raise SetupError(f"{repository} holds no model (no */config.pbtxt); mount what `reflex export` wrote")
    return repository
