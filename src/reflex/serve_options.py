"""What `reflex serve` can be told: one table, from which the command line is made and with which the settings agree.

It stands here and not with the server, for `reflex serve --help` works without the server's packages.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["MAX_CLAMPED_PERCENT", "SERVE_OPTIONS", "ServeOption"]

MAX_CLAMPED_PERCENT: Final = 50.0
"""Of one axis' steps the guard may change so many, unless somebody says otherwise, before the chunk is refused."""


@dataclass(frozen=True)
class ServeOption:
    """One option. What is not given comes from its environment variable, then from `default`."""

    name: str
    """Of the setting; the option is `--` and the name with dashes."""
    kind: type
    help: str
    metavar: str | None = None
    default: str | int | float | bool | None = None
    """As it may be given; None where nothing is the default, or it depends on other options."""
    least: float | None = None
    most: float | None = None
    flags: str | None = None
    """`--on/--off` of an option without a value."""

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"REFLEX_{self.name.upper()}"


SERVE_OPTIONS: Final = (
    ServeOption(
        "triton",
        str,
        "Serve from this running Triton, like grpc://gpu-box:8001. Without it, Reflex starts the embedded "
        "Triton and stops it again.",
        metavar="URL",
    ),
    ServeOption(
        "device",
        str,
        "What the embedded Triton computes on: cpu, cuda (onnxruntime-gpu), trt-rtx (TensorRT for RTX), or auto, the "
        "best that works here. One that is named and does not work is refused. Default: auto.",
        metavar="DEVICE",
        default="auto",
    ),
    ServeOption(
        "model_repository",
        Path,
        "The model repository that `reflex export` wrote. Default: the demo policy that comes with Reflex.",
        metavar="PATH",
    ),
    ServeOption("policy", str, "The policy to serve, when the repository holds several.", metavar="NAME"),
    ServeOption("policy_a", str, "Two policies share the episodes: the one in slot a.", metavar="NAME"),
    ServeOption("policy_b", str, "The one in slot b.", metavar="NAME"),
    ServeOption(
        "split",
        int,
        "Share of the episodes that slot a gets. Default: 50. `reflex split` changes it while the server runs.",
        metavar="PERCENT",
        default=50,
        least=0,
        most=100,
    ),
    ServeOption(
        "shadow",
        str,
        "A third policy that sees a copy of the requests and answers nobody; how it differs is measured and recorded.",
        metavar="NAME",
    ),
    ServeOption(
        "shadow_percent",
        float,
        "Share of the requests that it sees. Default: 100.",
        metavar="PERCENT",
        default=100.0,
        least=0,
        most=100,
    ),
    ServeOption("slo", str, "What answers may take, like p99=150ms.", metavar="LIMIT"),
    ServeOption(
        "slo_mode",
        str,
        "What happens while they take longer: log, refuse (before the model runs), degrade (fewer "
        "denoising steps). Default: log.",
        metavar="MODE",
        default="log",
    ),
    ServeOption(
        "record",
        Path,
        "Record requests and answers in this folder, for `reflex replay`, `traces` and `compare`.",
        metavar="PATH",
    ),
    ServeOption(
        "record_images",
        str,
        "none, hash or full: only full can be replayed. Default: hash.",
        metavar="HOW",
        default="hash",
    ),
    ServeOption("record_by", str, "One file per hour or per episode. Default: hour.", metavar="UNIT", default="hour"),
    ServeOption(
        "record_max_gb",
        float,
        "Beyond this the oldest recordings in the folder are removed. Default: 10.",
        metavar="GB",
        default=10.0,
    ),
    ServeOption(
        "otel_endpoint",
        str,
        "Send traces of requests to this OpenTelemetry collector (OTLP over HTTP), like "
        "http://127.0.0.1:4318. Needs the extra otel; OTEL_EXPORTER_OTLP_ENDPOINT works too.",
        metavar="URL",
    ),
    ServeOption(
        "trace_sample",
        float,
        "Share of the requests without a traceparent that are traced. Default: 1.",
        metavar="RATIO",
        default=1.0,
        least=0,
        most=1,
    ),
    ServeOption(
        "api_keys",
        Path,
        "File of hashed keys, made by `reflex keys new`: /act and /config then need one.",
        metavar="PATH",
    ),
    ServeOption(
        "session_key",
        Path,
        "File with a control plane's keyset, as its GET /v1/keyset answers: /act then needs a session's credential.",
        metavar="PATH",
    ),
    ServeOption(
        "sessions_from",
        str,
        "The control plane, like http://127.0.0.1:8100, whose keyset is fetched, and whose sessions are refused within "
        "a second of their end: /act then needs a session's credential. Needs REFLEX_CONTROL_KEY or REFLEX_API_KEY.",
        metavar="URL",
    ),
    ServeOption(
        "insecure",
        bool,
        "Listen beyond this machine without keys: whoever reaches the port can drive the policy. Default: off.",
        default=False,
        flags="--insecure/--secure",
    ),
    ServeOption(
        "openpi_root",
        bool,
        "Speak openpi's protocol on WebSockets to / too, as openpi's own server does; /openpi speaks it always. "
        "Default: off.",
        default=False,
        flags="--openpi-root/--no-openpi-root",
    ),
    ServeOption(
        "allowed_hosts",
        str,
        "Host headers that are answered, separated by commas. Default: what fits the address that is listened on.",
        metavar="HOSTS",
    ),
    ServeOption(
        "admin_port",
        int,
        "Loopback port of the admin routes that `reflex split` and `reflex replace` use. Default: 8090 with "
        "two policies, else none.",
        metavar="PORT",
        least=0,
        most=65535,
    ),
    ServeOption(
        "host",
        str,
        "Address to listen on. Default: 127.0.0.1, this machine only; 0.0.0.0 lets robots on the network in, "
        "and needs --api-keys or --insecure.",
        metavar="ADDRESS",
        default="127.0.0.1",
    ),
    ServeOption("port", int, "Port to listen on. Default: 8000.", metavar="PORT", default=8000, least=0, most=65535),
    ServeOption("robot_id", str, "This robot's name in /health, in answers and in the metrics.", metavar="ID"),
    ServeOption(
        "max_queue",
        int,
        "Most requests that may wait for the model; more are refused with 503 and Retry-After. It is a "
        "ceiling: a request that would miss its own deadline is refused earlier.",
        metavar="N",
        least=0,
    ),
    ServeOption(
        "cors_origins",
        str,
        "Web pages that may call this server from a browser, separated by commas. Default: * (all).",
        metavar="ORIGINS",
        default="*",
    ),
    ServeOption(
        "guard",
        bool,
        "Keep actions inside the embodiment's ranges and step limits. Default: on. Without it a policy's "
        "mistake reaches the motors; non-finite actions are refused either way.",
        default=True,
        flags="--guard/--no-guard",
    ),
    ServeOption(
        "max_clamped_share",
        float,
        "Refuse a chunk when the guard has to change more than this share of one axis' steps, or half of it of all "
        "values: its unit is wrong, most likely. 100 refuses none. "
        f"Default: {MAX_CLAMPED_PERCENT:g}.",
        metavar="PERCENT",
        default=MAX_CLAMPED_PERCENT,
        least=0,
        most=100,
    ),
    ServeOption(
        "inject_latency_ms",
        float,
        "Hold every answer back for so long, to try how a robot moves with a slow server; every answer says so. "
        "Default: 0.",
        metavar="MS",
        default=0.0,
        least=0,
        most=10_000,
    ),
    ServeOption(
        "rtc",
        bool,
        "Real-time chunking: each request of an episode continues the chunk that its robot is executing. Default: off.",
        default=False,
        flags="--rtc/--no-rtc",
    ),
    ServeOption(
        "rtc_execution_horizon",
        int,
        "Of the rest of that chunk, how many steps the next one is held to. Default: all of them.",
        metavar="STEPS",
        least=1,
        most=1_000,
    ),
    ServeOption(
        "rtc_schedule",
        str,
        "How firmly, from the first step that is not fixed to the last: linear, exp, ones, zeros. Default: linear.",
        metavar="HOW",
        default="linear",
    ),
    ServeOption(
        "rtc_max_guidance",
        float,
        "Bound of the correction in one denoising step. Default: 10.",
        metavar="WEIGHT",
        default=10.0,
        least=0,
        most=1_000,
    ),
    ServeOption(
        "a2c2_checkpoint",
        Path,
        "Correct actions that latency made stale by this head, which `reflex train a2c2` wrote; POST /act/correct then "
        "corrects the rest of a chunk.",
        metavar="FILE",
    ),
    ServeOption(
        "a2c2_max_correction",
        float,
        "Share of its range by which an axis is corrected at most. Default: 10.",
        metavar="PERCENT",
        default=10.0,
        least=0,
        most=100,
    ),
    ServeOption(
        "adaptive_steps",
        bool,
        "Take only as many denoising steps as an episode's last answers showed to be enough, of those that the policy "
        "was exported with. Default: off.",
        default=False,
        flags="--adaptive-steps/--no-adaptive-steps",
    ),
    ServeOption(
        "adaptive_tolerance",
        float,
        "By how much fewer steps may miss, as a share of the way from the noise to the actions. Default: 0.03.",
        metavar="SHARE",
        default=0.03,
        least=0,
        most=1,
    ),
    ServeOption(
        "prefix_cache_mb",
        float,
        "Memory for what each episode's last observation became inside the model: an observation that is the same to "
        "the byte then needs its denoising only. Default: none.",
        metavar="MB",
        least=0,
        most=1_000_000,
    ),
    ServeOption(
        "tell_velocity_change",
        bool,
        "Say in every answer how much the velocity changed at each denoising step. Default: off.",
        default=False,
        flags="--tell-velocity-change/--no-tell-velocity-change",
    ),
    ServeOption(
        "json_logs",
        bool,
        "One JSON object a line on stderr, for log collectors.",
        default=False,
        flags="--json-logs/--text-logs",
    ),
)
