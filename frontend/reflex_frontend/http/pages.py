"""The pages for people: `/` with a form that asks the policy, and `/docs`. All their files lie in `page/`.

Nothing of them comes from elsewhere, and the policy that they are sent with keeps it so: a robot's network has no
internet, and a script of somebody else's on this origin could move the robot.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reflex.serving.page_files import media_type

__all__ = ["PAGE_SAFETY", "page_routes"]

FOLDER: Final = resources.files(__package__) / "page"
DOCUMENTS: Final = {"/": "index.html", "/docs": "docs.html"}
PAGE_SAFETY: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
"""Headers of every file. Another site may not frame the page either: a click there could move the robot."""


def page_routes() -> list[Route]:
    """A route for each document, and `/page/NAME` for what they are made of."""
    parts = {f"/page/{file.name}": file.name for file in FOLDER.iterdir() if not file.name.endswith(".html")}
    return [Route(path, _sender(name), methods=["GET"]) for path, name in sorted({**DOCUMENTS, **parts}.items())]


def _sender(name: str) -> Callable[[Request], Awaitable[Response]]:
    content = (FOLDER / name).read_bytes()
    headers = {**PAGE_SAFETY, "content-type": media_type(name)}

    async def send(_request: Request) -> Response:
        return Response(content, headers=headers)

    return send
