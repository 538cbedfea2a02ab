"""The files that the pages are made of besides templates: style, scripts, an icon."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reflex.serving.page_files import media_type
from reflex_control.dashboard.rendering import ASSET_SAFETY

__all__ = ["file_routes"]

FOLDER: Final = resources.files(__package__) / "assets"


def file_routes() -> list[Route]:
    """A route `/assets/NAME` for each."""
    names = sorted(file.name for file in FOLDER.iterdir())
    return [Route(f"/assets/{name}", _sender(name), methods=["GET"]) for name in names]


def _sender(name: str) -> Callable[[Request], Awaitable[Response]]:
    content = (FOLDER / name).read_bytes()
    headers = {**ASSET_SAFETY, "content-type": media_type(name)}

    async def send(_request: Request) -> Response:
        return Response(content, headers=headers)

    return send
