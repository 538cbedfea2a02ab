"""One frozen `Settings` per process. Precedence: argument, then REFLEX_* environment variable, then default."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from reflex.api_keys import is_well_formed
from reflex.errors import SetupError
from reflex.gpus import Wanted
from reflex.serve_options import MAX_CLAMPED_PERCENT
from reflex.serving.setting_words import in_plain_words
from reflex.serving.step_rule import DEFAULT_TOLERANCE
from reflex.serving.variables import CONTROL_VARIABLES, OTHER_VARIABLES, slips
from reflex.wire import MAX_DEADLINE_MS
from reflex_frontend.slo import Slo, SloMode, parse_slo

__all__ = ["NO_OPTION", "RtcSchedule", "Settings", "unknown_variables"]

RtcSchedule = Literal["linear", "exp", "ones", "zeros"]
"""How the weights of a chunk that is continued fall."""

NO_OPTION: Final = (
    "admin_token",
    "control_key",
    "triton_admin_header",
    "receive_timeout_s",
    "hang_restart_s",
    "keep_ensembles",
    "slo_window_s",
)
"""By environment variable only: secrets, which others see in an argument list, and what hardly anybody needs."""

NEEDED: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "split": (("policy_a",), "--split needs --policy-a and --policy-b"),
    "shadow_percent": (("shadow",), "--shadow-percent needs --shadow"),
    "slo_mode": (("slo",), "--slo-mode needs --slo"),
    "slo_window_s": (("slo",), "REFLEX_SLO_WINDOW_S needs --slo"),
    "record_images": (("record",), "--record-images needs --record"),
    "record_by": (("record",), "--record-by needs --record"),
    "record_max_gb": (("record",), "--record-max-gb needs --record"),
    "trace_sample": (("otel_endpoint",), "--trace-sample needs --otel-endpoint"),
    "rtc_execution_horizon": (("rtc",), "--rtc-execution-horizon needs --rtc"),
    "rtc_schedule": (("rtc",), "--rtc-schedule needs --rtc"),
    "rtc_max_guidance": (("rtc",), "--rtc-max-guidance needs --rtc"),
    "a2c2_max_correction": (("a2c2_checkpoint",), "--a2c2-max-correction needs --a2c2-checkpoint"),
    "adaptive_tolerance": (("adaptive_steps",), "--adaptive-tolerance needs --adaptive-steps"),
    "admin_token": (("admin_port", "policy_a"), "REFLEX_ADMIN_TOKEN needs --admin-port, or two policies"),
}
"""What would have no effect without one of the others, and whoever gave it would think it had."""


def _is_shown(name: str) -> str:
    """It stands in answers, logs and metrics."""
    if not name.isprintable():
        raise ValueError("takes letters, digits and other visible characters: no line ends, no escapes")
    return name


def _checked_http_url(value: str, example: str, secrets_belong: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"must look like {example}")
    if parts.username is not None:
        raise ValueError(f"put {secrets_belong}, not into the URL")
    return value


def _is_key(key: SecretStr | None) -> bool:
    return key is not None and is_well_formed(key.get_secret_value())


def _is_given(value: object) -> bool:
    """A port of 0 is."""
    return value is not None and value is not False


class Settings(BaseSettings):
    """What `reflex serve` can be told: by `REFLEX_<FIELD>` variables; all but `NO_OPTION` by options."""

    model_config = SettingsConfigDict(
        env_prefix="REFLEX_",
        frozen=True,
        env_ignore_empty=True,
        extra="ignore",
        validate_default=False,
        validate_by_name=True,
        validate_by_alias=True,
        loc_by_alias=False,
    )

    model_repository: Path | None = None
    """Folder with the policies; None is the one that ships with Reflex."""
    policy: str | None = None
    """Which policy of the repository; None when there is only one."""
    policy_a: str | None = None
    """With `policy_b`: two policies share the episodes."""
    policy_b: str | None = None
    split: Annotated[int, Field(ge=0, le=100)] = 50
    """Percent of the episodes that slot a gets."""
    shadow: str | None = None
    """A policy that sees a copy of the requests and answers nobody."""
    shadow_percent: Annotated[float, Field(gt=0, le=100)] = 100.0
    slo: Slo | None = None
    slo_mode: SloMode = "log"
    record: Path | None = None
    """Folder for recordings; None records nothing."""
    record_images: Literal["none", "hash", "full"] = "hash"
    record_by: Literal["hour", "episode"] = "hour"
    record_max_gb: Annotated[float, Field(gt=0)] = 10.0
    """The oldest recordings of the folder are removed beyond it."""
    otel_endpoint: Annotated[
        str | None, Field(validation_alias=AliasChoices("REFLEX_OTEL_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"))
    ] = None
    """Base URL of an OpenTelemetry collector (OTLP over HTTP); None traces nothing."""
    trace_sample: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the requests without a traceparent that are traced."""
    api_keys: Path | None = None
    """File of hashed keys, made by `reflex keys new`; None asks nobody for a key."""
    session_key: Path | None = None
    """File with the keyset by which sessions' credentials are checked; None, and no `sessions_from`: no sessions."""
    sessions_from: str | None = None
    """Base URL of the control plane whose sessions are answered until they end there."""
    control_key: Annotated[
        SecretStr | None, Field(validation_alias=AliasChoices("REFLEX_CONTROL_KEY", "REFLEX_API_KEY"))
    ] = None
    """This server's own key of that control plane."""
    insecure: bool = False
    """Listen beyond this machine without keys."""
    openpi_root: bool = False
    """Speak openpi's protocol at / too, where its clients look that are told a host and a port alone."""
    allowed_hosts: Annotated[tuple[str, ...] | None, NoDecode] = None
    """Host headers that are answered; None: what fits the address that is listened on."""
    admin_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Loopback port of the admin routes; None: 8090 with two policies, none with one."""
    admin_token: SecretStr | None = None
    """What the admin routes ask for; None makes one and leaves it in a file for this user."""
    triton: str | None = None
    """`grpc://host:port` or `unix:/path` of a Triton elsewhere; None starts the embedded one."""
    device: Wanted = "auto"
    """What the embedded Triton computes on."""
    triton_admin_header: SecretStr | None = None
    """`name=value` that this Triton asks for before it loads a model (its --grpc-restricted-protocol)."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    robot_id: Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_is_shown)] | None = None
    max_queue: Annotated[int, Field(ge=0, le=10_000)] | None = None
    """Ceiling on requests that wait for a place in flight; None is as many as may be in flight."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ("*",)
    guard: bool = True
    max_clamped_share: Annotated[float, Field(ge=0, le=100)] = MAX_CLAMPED_PERCENT
    """Percent of one axis' steps that the guard may change before the chunk is refused; 100 refuses none."""
    inject_latency_ms: Annotated[float, Field(ge=0, le=MAX_DEADLINE_MS)] = 0.0
    """So long every answer is held back, for trials of a slow server; 0 holds none back."""
    rtc: bool = False
    """Each request of an episode continues the chunk that its robot is executing."""
    rtc_execution_horizon: Annotated[int | None, Field(ge=1, le=1_000)] = None
    """Beyond so many steps of the rest of a chunk the next one is free."""
    rtc_schedule: RtcSchedule = "linear"
    rtc_max_guidance: Annotated[float, Field(gt=0, le=1_000)] = 10.0
    a2c2_checkpoint: Path | None = None
    """The correction head that `reflex train a2c2` wrote; None corrects nothing."""
    a2c2_max_correction: Annotated[float, Field(gt=0, le=100)] = 10.0
    """Percent of its range, so much an axis is corrected at most."""
    adaptive_steps: bool = False
    """Each episode takes as many denoising steps as its last answers showed to be enough."""
    adaptive_tolerance: Annotated[float, Field(gt=0, le=1)] = DEFAULT_TOLERANCE
    """By how much fewer steps may miss, as a share of the way from the noise to the actions."""
    prefix_cache_mb: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    """Megabytes for what episodes' last observations became inside the model; None keeps nothing."""
    tell_velocity_change: bool = False
    """Answers say how much the velocity changed at each denoising step."""
    json_logs: bool = False
    receive_timeout_s: Annotated[float, Field(gt=0, le=300)] = 5.0
    """From the first byte of a request to the last of its body."""
    hang_restart_s: Annotated[float, Field(gt=0)] = 10.0
    """An embedded Triton that has not answered for so long is killed and started again."""
    keep_ensembles: bool = False
    """An embedded Triton runs each model of an ensemble in a process of its own, not all in one."""
    slo_window_s: Annotated[float, Field(ge=2, le=600)] = 30.0
    """What `slo` is measured over, in whole seconds."""

    @property
    def asks_for_sessions(self) -> bool:
        """Whether only robots in a session are answered."""
        return self.session_key is not None or self.sessions_from is not None

    @property
    def asks_who_calls(self) -> bool:
        """Whether strangers are kept out."""
        return self.api_keys is not None or self.asks_for_sessions

    @property
    def triton_admin_metadata(self) -> tuple[tuple[str, str], ...]:
        """The header as gRPC metadata, with the prefix that Triton gives its name."""
        if self.triton_admin_header is None:
            return ()
        name, _, value = self.triton_admin_header.get_secret_value().partition("=")
        return ((f"triton-grpc-protocol-{name}", value),)

    @field_validator("slo", mode="before")
    @classmethod
    def _parse_slo(cls, value: object) -> object:
        return parse_slo(value) if isinstance(value, str) else value

    @field_validator("slo_mode", mode="before")
    @classmethod
    def _accept_the_old_word(cls, value: object) -> object:
        return "refuse" if value == "503" else value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.policy_a is None) != (self.policy_b is None):
            raise ValueError("two policies need both --policy-a and --policy-b")
        if self.policy is not None and self.policy_a is not None:
            raise ValueError("give either --policy, or --policy-a and --policy-b")
        if self.sessions_from is not None and not _is_key(self.control_key):
            raise ValueError(
                "--sessions-from needs a key of that control plane with the scope read, in REFLEX_CONTROL_KEY or "
                "REFLEX_API_KEY; `reflex keys create` makes one"
            )
        if self.adaptive_steps and self.slo_mode == "degrade":
            raise ValueError(
                "--adaptive-steps and --slo-mode degrade both choose the number of denoising steps; leave one out"
            )
        if self.triton is not None and self.device != "auto":
            raise ValueError("--device is what the embedded Triton computes on: leave it out, or leave out --triton")
        if not self.guard and "max_clamped_share" in self.model_fields_set:
            raise ValueError("--max-clamped-share needs the guard: leave out --no-guard")
        for field, (enabling, needed) in NEEDED.items():
            if field in self.model_fields_set and not any(_is_given(getattr(self, name)) for name in enabling):
                raise ValueError(needed)
        return self

    @field_validator("cors_origins", "allowed_hosts", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("triton")
    @classmethod
    def _is_grpc_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if value.startswith("unix:/"):
            return value
        parts = urlsplit(value)
        if parts.scheme != "grpc" or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError("must look like grpc://host:8001")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return f"{host}:{parts.port or 8001}"

    @field_validator("otel_endpoint")
    @classmethod
    def _is_http_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        return _checked_http_url(value, "http://127.0.0.1:4318", "credentials into OTEL_EXPORTER_OTLP_HEADERS")

    @field_validator("sessions_from")
    @classmethod
    def _is_url_of_a_control_plane(cls, value: str | None) -> str | None:
        if value is None:
            return None
        return _checked_http_url(value, "http://127.0.0.1:8100", "the key into REFLEX_CONTROL_KEY").rstrip("/")

    @classmethod
    def load(cls, overrides: Mapping[str, Any]) -> Self:
        """Settings from the options that were given, then the environment; `SetupError` names what is wrong."""
        given = {key: value for key, value in overrides.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as exc:
            first = exc.errors(include_url=False, include_input=False)[0]
            if not first["loc"]:
                raise SetupError(in_plain_words(first)) from exc
            field = str(first["loc"][0])
            option, variable = "--" + field.replace("_", "-"), "REFLEX_" + field.upper()
            named = variable if field in NO_OPTION else f"{option} (or {variable})"
            raise SetupError(f"{named}: {in_plain_words(first)}") from exc


def unknown_variables(environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """A sentence for each REFLEX_* variable that is no setting, here or of another of our commands."""
    settings = {f"REFLEX_{field.upper()}" for field in Settings.model_fields}
    return slips(environment, "REFLEX_", settings | CONTROL_VARIABLES | OTHER_VARIABLES, "reflex serve")
