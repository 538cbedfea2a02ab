"""One frozen `Settings` per process. Precedence: argument, then REFLEX_CONTROL_* environment variable, then default."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from reflex.errors import SetupError
from reflex.serving.setting_words import in_plain_words
from reflex.serving.variables import CONTROL_VARIABLES, slips
from reflex_control.store.database import sqlite_url

__all__ = ["Network", "Settings", "unknown_variables"]

DATA_FOLDER_MODE = 0o700
PREFIX = "REFLEX_CONTROL_"
OF_SERVE = "REFLEX_CONTROL_KEY"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def default_data_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """`reflex/control` in the user's data folder (XDG Base Directory Specification)."""
    given = environment.get("XDG_DATA_HOME", "")
    base = Path(given) if Path(given).is_absolute() else Path.home() / ".local" / "share"
    return base / "reflex" / "control"


class Settings(BaseSettings):
    """What `reflex control` can be told: by options, or by `REFLEX_CONTROL_<FIELD>` variables."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, env_ignore_empty=True, extra="ignore", validate_default=False
    )

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8100
    data: Path = Field(default_factory=default_data_folder)
    """Folder of the SQLite store."""
    db: SecretStr | None = None
    """URL of a store elsewhere; it may hold a password."""
    first_key: bool = True
    """Whether the first start on an empty store prints the first key; else `init_store` does, when somebody asks."""
    json_logs: bool = True
    allowed_hosts: Annotated[tuple[str, ...] | None, NoDecode] = None
    """Host headers that are answered; None: what fits the address that is listened on."""
    rate_limit: Annotated[float, Field(gt=0, le=1e6)] = 100.0
    """Requests per second of each key."""
    public_rate_limit: Annotated[float, Field(gt=0, le=1e6)] = 10.0
    """Requests per second of each address that asks without a key."""
    public_url: str | None = None
    """The address that people open, where it is another one than that of the API."""
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()
    """Addresses and networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _read_networks(cls, value: object) -> object:
        parts = value.split(",") if isinstance(value, str) else value
        try:
            return tuple(ipaddress.ip_network(str(part).strip()) for part in parts)  # type: ignore[attr-defined]
        except ValueError:
            raise ValueError("takes addresses and networks, like 10.0.0.7,10.1.0.0/16") from None

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname)
        if not is_right or parts.query or parts.fragment or parts.username:
            raise ValueError("takes a URL with http or https, and a name: what people open in a browser")
        return value.rstrip("/")

    @property
    def store_file(self) -> Path:
        return self.data / "control.db"

    @property
    def store_url(self) -> str:
        """Of the store that was named, or of the one in the data folder."""
        return sqlite_url(self.store_file) if self.db is None else self.db.get_secret_value()

    def make_data_folder(self) -> None:
        """For this user alone, who signs with the keys in it. `SetupError` when others may look into it."""
        try:
            self.data.mkdir(mode=DATA_FOLDER_MODE, parents=True, exist_ok=True)
            mode = self.data.stat().st_mode
        except OSError as exc:
            raise SetupError(f"--data {self.data}: the folder cannot be made or read ({exc.strerror})") from exc
        if mode & 0o077:
            raise SetupError(f"--data {self.data}: others can look into it, and signing keys lie there; run: "
                             f"chmod 700 {self.data}")  # fmt: skip

    @classmethod
    def load(cls, overrides: Mapping[str, Any]) -> Self:
        """Settings from the options that were given, then the environment; `SetupError` names what is wrong."""
        try:
            return cls(**{key: value for key, value in overrides.items() if value is not None})
        except ValidationError as exc:
            first = exc.errors(include_url=False, include_input=False)[0]
            field = str(first["loc"][0])
            option, variable = "--" + field.replace("_", "-"), PREFIX + field.upper()
            raise SetupError(f"{option} (or {variable}): {in_plain_words(first)}") from exc


def unknown_variables(environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """A sentence for each REFLEX_CONTROL_* variable that is no setting, here or of a server of policies."""
    return slips(environment, PREFIX, CONTROL_VARIABLES | {OF_SERVE}, "reflex control")
