"""Which key and which control plane count: the argument, then the environment, then the credentials file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from reflex.access.credentials_file import Credentials, credentials_path, read_credentials
from reflex.errors import SetupError

__all__ = ["DEFAULT_BACKEND_URL", "Resolved", "resolve", "resolve_address"]

DEFAULT_BACKEND_URL: Final = "http://127.0.0.1:8100"
KEY_VARIABLES: Final = ("REFLEX_API_KEY",)
URL_VARIABLES: Final = ("REFLEX_CONVEX_URL", "REFLEX_BACKEND_URL")
"""Two names of the same thing."""

Found = tuple[str, str]
"""A value, and where it comes from in words."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What counts. An origin completes "the key comes from ..."; without a key it says where none was found."""

    api_key: str | None = field(repr=False)
    backend_url: str
    """Without a slash at its end."""
    api_key_origin: str
    backend_url_origin: str


def resolve(argument_key: str | None, argument_url: str | None, environment: Mapping[str, str]) -> Resolved:
    """Empty values count as not given. `SetupError` for a key or URL that can be none, or a file not to be trusted."""
    key = _given(argument_key, "the argument") or _in_environment(KEY_VARIABLES, environment)
    url = _given(argument_url, "the argument") or _in_environment(URL_VARIABLES, environment)
    if key is None or url is None:
        path = credentials_path(environment)
        stored, origin = read_credentials(path) or Credentials(), f"the credentials file {path}"
        key = key or _given(stored.api_key, origin)
        url = url or _given(stored.backend_url, origin)
    url = url or (DEFAULT_BACKEND_URL, "the default")
    backend_url = _checked_url(*url)
    if key is None:
        return Resolved(None, backend_url, "no argument, no REFLEX_API_KEY and no credentials file", url[1])
    return Resolved(_checked_key(*key), backend_url, key[1], url[1])


def resolve_address(argument_url: str | None, environment: Mapping[str, str]) -> str:
    """As `resolve` finds it; the file is not read where the address is given, so that a damaged one can be replaced."""
    url = _given(argument_url, "the argument") or _in_environment(URL_VARIABLES, environment)
    return _checked_url(*url) if url else resolve(None, None, environment).backend_url


def _given(value: str | None, origin: str) -> Found | None:
    stripped = (value or "").strip()
    return (stripped, origin) if stripped else None


def _in_environment(names: tuple[str, ...], environment: Mapping[str, str]) -> Found | None:
    found = [each for name in names if (each := _given(environment.get(name), name)) is not None]
    if len({value for value, _ in found}) > 1:
        raise SetupError(f"{' and '.join(names)} are the same setting and differ here; unset one of them")
    return found[0] if found else None


def _checked_key(key: str, origin: str) -> str:
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise SetupError(f"the API key of {origin} has characters that no key has; copy it again")
    return key


def _checked_url(url: str, origin: str) -> str:
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_right = False
    if not is_right or parts.username or parts.query or parts.fragment or not (url.isascii() and url.isprintable()):
        raise SetupError(f"the backend URL of {origin} must look like {DEFAULT_BACKEND_URL}, with http or https")
    return url.rstrip("/")
