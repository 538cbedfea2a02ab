"""`reflex serve`: the options of the server; what is not given comes from the environment, then from the defaults."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from reflex.console import EXIT_FAILED, reported_errors, say

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
        metavar="PATH",
        help="The model repository that `reflex export` wrote. Default: the demo policy that comes with Reflex. "
        "[env: REFLEX_MODEL_REPOSITORY]",
    ),
]
Policy = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The policy to serve, when the repository holds several. [env: REFLEX_POLICY]",
    ),
]
PolicyA = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Two policies share the episodes: the one in slot a. [env: REFLEX_POLICY_A]"),
]
PolicyB = Annotated[str | None, typer.Option(metavar="NAME", help="The one in slot b. [env: REFLEX_POLICY_B]")]
Split = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=100,
        metavar="PERCENT",
        help="Share of the episodes that slot a gets. Default: 50. `reflex split` changes it while the server runs. "
        "[env: REFLEX_SPLIT]",
    ),
]
Shadow = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="A third policy that sees a copy of the requests and answers nobody; how it differs is measured and "
        "recorded. [env: REFLEX_SHADOW]",
    ),
]
ShadowPercent = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=100,
        metavar="PERCENT",
        help="Share of the requests that it sees. Default: 100. [env: REFLEX_SHADOW_PERCENT]",
    ),
]
SloText = Annotated[
    str | None,
    typer.Option(metavar="LIMIT", help="What answers may take, like p99=150ms. [env: REFLEX_SLO]"),
]
SloMode = Annotated[
    str | None,
    typer.Option(
        metavar="MODE",
        help="What happens while they take longer: log, 503 (refuse before the model runs), degrade (fewer denoising "
        "steps). Default: log. [env: REFLEX_SLO_MODE]",
    ),
]
Record = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Record requests and answers in this folder, for `reflex replay`, `traces` and `compare`. "
        "[env: REFLEX_RECORD]",
    ),
]
RecordImages = Annotated[
    str | None,
    typer.Option(
        metavar="HOW", help="none, hash or full: only full can be replayed. Default: hash. [env: REFLEX_RECORD_IMAGES]"
    ),
]
RecordBy = Annotated[
    str | None,
    typer.Option(metavar="UNIT", help="One file per hour or per episode. Default: hour. [env: REFLEX_RECORD_BY]"),
]
RecordMaxGb = Annotated[
    float | None,
    typer.Option(
        metavar="GB",
        help="Beyond this the oldest recordings in the folder are removed. Default: 10. [env: REFLEX_RECORD_MAX_GB]",
    ),
]
OtelEndpoint = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Send traces of requests to this OpenTelemetry collector (OTLP over HTTP), like http://127.0.0.1:4318. "
        "Needs the extra otel; OTEL_EXPORTER_OTLP_ENDPOINT works too. [env: REFLEX_OTEL_ENDPOINT]",
    ),
]
TraceSample = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        metavar="RATIO",
        help="Share of the requests without a traceparent that are traced. Default: 1. [env: REFLEX_TRACE_SAMPLE]",
    ),
]
ApiKeys = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="File of hashed keys, made by `reflex keys new`: /act and /config then need one. [env: REFLEX_API_KEYS]",
    ),
]
Insecure = Annotated[
    bool | None,
    typer.Option(
        "--insecure/--secure",
        help="Listen beyond this machine without keys: whoever reaches the port can drive the policy. Default: off. "
        "[env: REFLEX_INSECURE]",
    ),
]
AllowedHosts = Annotated[
    str | None,
    typer.Option(
        metavar="HOSTS",
        help="Host headers that are answered, separated by commas. Default: what fits the address that is listened on. "
        "[env: REFLEX_ALLOWED_HOSTS]",
    ),
]
AdminPort = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        metavar="PORT",
        help="Loopback port of the admin routes that `reflex split` and `reflex replace` use. Default: 8090 with two "
        "policies, else none. [env: REFLEX_ADMIN_PORT]",
    ),
]
Host = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Address to listen on. Default: 127.0.0.1, this machine only; 0.0.0.0 lets robots on the network in, "
        "and needs --api-keys or --insecure. [env: REFLEX_HOST]",
    ),
]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, metavar="PORT", help="Port to listen on. Default: 8000. [env: REFLEX_PORT]"),
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
    policy_a: PolicyA = None,
    policy_b: PolicyB = None,
    split: Split = None,
    shadow: Shadow = None,
    shadow_percent: ShadowPercent = None,
    slo: SloText = None,
    slo_mode: SloMode = None,
    record: Record = None,
    record_images: RecordImages = None,
    record_by: RecordBy = None,
    record_max_gb: RecordMaxGb = None,
    otel_endpoint: OtelEndpoint = None,
    trace_sample: TraceSample = None,
    api_keys: ApiKeys = None,
    insecure: Insecure = None,
    allowed_hosts: AllowedHosts = None,
    admin_port: AdminPort = None,
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
    options = {name: value for name, value in locals().items() if value is not None}
    server = _server_module()
    with reported_errors(as_json=False):
        code: int = server.serve(options)
    raise typer.Exit(code)


def _server_module() -> Any:  # noqa: ANN401  # a module of another package, known only when the command runs
    try:
        return importlib.import_module("reflex_frontend.serve")
    except ModuleNotFoundError as exc:
        if exc.name is not None and exc.name.partition(".")[0].startswith("reflex"):
            raise  # a broken installation of our own, which no extra repairs
        say(f"reflex: serving needs the package {exc.name}, which is not installed; run: {SERVE_EXTRAS}")
        raise typer.Exit(EXIT_FAILED) from exc
