"""Templates become pages, with headers that let nothing run or load but the dashboard's own files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import Response

from reflex_control.dashboard import words
from reflex_control.dashboard.ticks import figure_of

__all__ = ["ASSET_SAFETY", "page_of"]

SAFETY: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
PAGE_SAFETY: Final = {**SAFETY, "cache-control": "no-store"}
ASSET_SAFETY: Final = {**SAFETY, "cache-control": "no-cache"}


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=words.visible, auto_reload=False,
    )  # fmt: skip
    made.filters |= {"name": words.name, "moment": words.moment, "badge": words.badge, "figure": figure_of}
    made.filters |= {"lasting": words.lasting, "bytes": words.bytes_of}
    return made


ENVIRONMENT: Final = _environment()


def page_of(template: str, context: Mapping[str, Any], status: int = 200) -> Response:
    """One page; a name that the template uses and `context` lacks is an error."""
    text = ENVIRONMENT.get_template(template).render(context)
    return Response(text, status, PAGE_SAFETY, media_type="text/html; charset=utf-8")
