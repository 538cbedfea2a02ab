"""One frozen `Settings` per process. Precedence: argument, then REFLEX_* environment variable, then default."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from reflex.errors import SetupError

__all__ = ["Settings"]


class Settings(BaseSettings):
    """What `reflex serve` can be told: by `REFLEX_<FIELD>` variables, and all but the last two by options."""

    model_config = SettingsConfigDict(
        env_prefix="REFLEX_", frozen=True, env_ignore_empty=True, extra="ignore", validate_default=False
    )

    model_repository: Path | None = None
    """Folder with the policies; None is the one that ships with Reflex."""
    policy: str | None = None
    """Which policy of the repository; None when there is only one."""
    triton: str | None = None
    """`grpc://host:port` of a Triton elsewhere; None starts the embedded one."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    robot_id: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    max_queue: Annotated[int, Field(ge=0, le=10_000)] | None = None
    """Ceiling on requests that wait for a place in flight; None is as many as may be in flight."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ("*",)
    guard: bool = True
    json_logs: bool = False
    receive_timeout_s: Annotated[float, Field(gt=0, le=300)] = 5.0
    """From the first byte of a request to the last of its body."""
    hang_restart_s: Annotated[float, Field(gt=0)] = 10.0
    """An embedded Triton that has not answered for so long is killed and started again."""

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("triton")
    @classmethod
    def _is_grpc_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme != "grpc" or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError("must look like grpc://host:8001")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return f"{host}:{parts.port or 8001}"

    @classmethod
    def load(cls, overrides: Mapping[str, Any]) -> Self:
        """Settings from the options that were given, then the environment; `SetupError` names what is wrong."""
        given = {key: value for key, value in overrides.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as exc:
            first = exc.errors(include_url=False, include_input=False)[0]
            field = str(first["loc"][0]) if first["loc"] else "settings"
            option, variable = "--" + field.replace("_", "-"), "REFLEX_" + field.upper()
            raise SetupError(f"{option} (or {variable}): {first['msg']}") from exc
