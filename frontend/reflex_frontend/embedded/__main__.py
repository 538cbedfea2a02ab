"""`python -m reflex_frontend.embedded`: the CPU Triton image's entry point, health check and build step.

    tritonserver ARGUMENT...   become tritonserver, with the arguments that NVIDIA's container takes
    healthy [--port PORT]      exit code 0 when it is ready (or stands aside)
    prepare                    write the backend directory, when the image is built

With the variable STAND_ASIDE_FOR, `tritonserver` does nothing while a host of that name is on the network.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from reflex.errors import SetupError
from reflex_frontend.embedded.standalone import command_and_environment, is_ready, is_there, prepare, stand_aside

BACKENDS: Final = Path("/opt/reflex/backends")
STANDING_ASIDE: Final = Path("/tmp/reflex-standing-aside")  # noqa: S108 - a tmpfs of this container alone
HTTP_PORT: Final = 8000


def main(arguments: list[str]) -> int:
    """Run one of the three commands; returns the exit code. `tritonserver` returns only when it stood aside."""
    given = _parser().parse_args(arguments[:1] if arguments[:1] == ["tritonserver"] else arguments)
    try:
        if given.command == "tritonserver":
            _become_triton(arguments[1:])
        elif given.command == "healthy":
            return 0 if STANDING_ASIDE.exists() or is_ready(given.port) else 1
        else:
            prepare(given.backends)
    except SetupError as exc:
        sys.stderr.write(f"reflex: {exc}\n")
        return 1
    return 0


def _become_triton(arguments: list[str]) -> None:
    """exec, so that signals and the exit code are Triton's own."""
    STANDING_ASIDE.unlink(missing_ok=True)
    host = os.environ.get("STAND_ASIDE_FOR")
    if host and is_there(host):
        # Two Tritons under one name would share the requests; the one on the GPU is to have all of them.
        sys.stderr.write(f"reflex: {host} serves; this Triton stands aside\n")
        stand_aside(STANDING_ASIDE)
        return
    command, environment = command_and_environment(arguments, os.environ, BACKENDS)
    os.execve(command[0], command, environment)  # noqa: S606 - the operator's own arguments, no shell


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reflex_frontend.embedded", description="Triton on the CPU.")
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    commands.add_parser("tritonserver", help="become tritonserver; everything after it is handed on")
    healthy = commands.add_parser("healthy", help="exit code 0 when Triton here is ready")
    healthy.add_argument("--port", type=int, default=HTTP_PORT, help="its HTTP port")
    backends = commands.add_parser("prepare", help="write the backend directory")
    backends.add_argument("--backends", type=Path, default=BACKENDS)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
