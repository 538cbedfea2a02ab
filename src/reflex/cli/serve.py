"""`reflex serve`: the options of the server; what is not given comes from the environment, then from the defaults."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from reflex.cli.output import EXIT_FAILED, reported_errors, say

__all__ = ["serve"]

SERVE_EXTRAS = "pip install 'reflex-act[serve,embedded]'"

# None means "not given": the server's settings then read the variable named in the help, and know the default.
Triton = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Serve from this running Triton, like grpc://gpu-box:8001. Without it, Reflex starts the embedded "
        "Triton and stops it again. [env: REFLEX_TRITON]",
    ),
]
ModelRepository = Annotated[
    Path | None,
    typer.Option(
        help="The model repository that `reflex export` wrote. Default: the demo policy that comes with Reflex. "
        "[env: REFLEX_MODEL_REPOSITORY]"
    ),
]
Policy = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The policy to serve, when the repository holds several. [env: REFLEX_POLICY]",
    ),
]
Host = Annotated[
    str | None,
    typer.Option(
        help="Address to listen on. Default: 127.0.0.1, this machine only; 0.0.0.0 lets robots on the network in. "
        "[env: REFLEX_HOST]"
    ),
]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen on. Default: 8000. [env: REFLEX_PORT]")
]
RobotId = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        help="This robot's name in /health, in answers and in the metrics. [env: REFLEX_ROBOT_ID]",
    ),
]
MaxQueue = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="N",
        help="Most requests that may wait for the model; more are refused with 503 and Retry-After. It is a ceiling: "
        "a request that would miss its own deadline is refused earlier. [env: REFLEX_MAX_QUEUE]",
    ),
]
CorsOrigins = Annotated[
    str | None,
    typer.Option(
        metavar="ORIGINS",
        help="Web pages that may call this server from a browser, separated by commas. Default: * (all). "
        "[env: REFLEX_CORS_ORIGINS]",
    ),
]
Guard = Annotated[
    bool | None,
    typer.Option(
        "--guard/--no-guard",
        help="Keep actions inside the embodiment's ranges and step limits. Default: on. Without it a policy's mistake "
        "reaches the motors; non-finite actions are refused either way. [env: REFLEX_GUARD]",
    ),
]
JsonLogs = Annotated[
    bool | None,
    typer.Option(
        "--json-logs/--text-logs",
        help="One JSON object a line on stderr, for log collectors. [env: REFLEX_JSON_LOGS]",
    ),
]


def serve(
    *,
    triton: Triton = None,
    model_repository: ModelRepository = None,
    policy: Policy = None,
    host: Host = None,
    port: Port = None,
    robot_id: RobotId = None,
    max_queue: MaxQueue = None,
    cors_origins: CorsOrigins = None,
    guard: Guard = None,
    json_logs: JsonLogs = None,
) -> None:
    """Serve a policy over HTTP: POST /act, GET /health, /config and /metrics.

    Without options: the demo policy on an embedded Triton, at http://127.0.0.1:8000. Ctrl-C finishes what is in flight
    and stops everything that was started. An option given here wins over its environment variable.
    """
    options: dict[str, object] = {
        "triton": triton,
        "model_repository": model_repository,
        "policy": policy,
        "host": host,
        "port": port,
        "robot_id": robot_id,
        "max_queue": max_queue,
        "cors_origins": cors_origins,
        "guard": guard,
        "json_logs": json_logs,
    }
    server = _server_module()
    with reported_errors(as_json=False):
        code: int = server.serve({name: value for name, value in options.items() if value is not None})
    raise typer.Exit(code)


def _server_module() -> Any:  # noqa: ANN401  # a module of another package, known only when the command runs
    try:
        return importlib.import_module("reflex_frontend.serve")
    except ModuleNotFoundError as exc:
        if exc.name is not None and exc.name.partition(".")[0].startswith("reflex"):
            raise  # a broken installation of our own, which no extra repairs
        say(f"reflex: serving needs the package {exc.name}, which is not installed; run: {SERVE_EXTRAS}")
        raise typer.Exit(EXIT_FAILED) from exc
