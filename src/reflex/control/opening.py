"""Open a client with the key and the address that are found: given, in the environment, or stored by a login."""

from __future__ import annotations

import os
from pathlib import Path

from reflex.access.credentials_file import credentials_path
from reflex.access.key_resolution import Resolved, resolve, resolve_address
from reflex.control.blocking import ControlClient
from reflex.control.calling import DEFAULT_DEADLINE_S
from reflex.errors import SetupError

__all__ = ["find_address", "find_key", "open_client", "where_a_login_is_stored"]


def open_client(
    api_key: str | None = None,
    *,
    convex_url: str | None = None,
    backend_url: str | None = None,
    deadline_s: float = DEFAULT_DEADLINE_S,
) -> ControlClient:
    """A `ControlClient`; `convex_url` and `backend_url` are the same thing, of which one is enough.

    A key is asked for only when an operation needs one.
    """
    found = find_key(api_key, convex_url=convex_url, backend_url=backend_url)
    return ControlClient(found.backend_url, api_key=found.api_key, deadline_s=deadline_s)


def find_key(api_key: str | None = None, *, convex_url: str | None = None, backend_url: str | None = None) -> Resolved:
    """Key and address: the argument, then the environment, then the credentials file."""
    if None not in (convex_url, backend_url) and convex_url != backend_url:
        raise SetupError(
            "convex_url and backend_url are the same thing, and two different ones were given: leave one out"
        )
    return resolve(api_key, backend_url if convex_url is None else convex_url, os.environ)


def find_address(convex_url: str | None = None) -> str:
    """The control plane, for who has no key yet."""
    return resolve_address(convex_url, os.environ)


def where_a_login_is_stored() -> Path:
    """The credentials file of this user."""
    return credentials_path(os.environ)
