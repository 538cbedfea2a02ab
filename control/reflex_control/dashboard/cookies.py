"""The dashboard's cookies: for its own pages alone, out of reach of scripts, and over https never without it."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

__all__ = ["LOGIN_COOKIE", "SIGN_IN_COOKIE", "VISITOR_COOKIE", "drop_cookie", "set_cookie"]

SIGN_IN_COOKIE: Final = "reflex_sign_in"
VISITOR_COOKIE: Final = "reflex_visitor"
"""Of somebody who is not signed in: what the token of the form belongs to that signs in."""
LOGIN_COOKIE: Final = "reflex_login"
"""Of a browser that waits for its code to be confirmed."""


def set_cookie(answer: Response, name: str, value: str, *, is_https: bool, lasts_s: int | None = None) -> None:
    """One that ends with the browser, or after `lasts_s`."""
    answer.set_cookie(name, value, lasts_s, path="/", secure=is_https, httponly=True, samesite="strict")


def drop_cookie(answer: Response, name: str) -> None:
    answer.delete_cookie(name, path="/", httponly=True, samesite="strict")
