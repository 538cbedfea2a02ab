"""What users have seen so far stays as it is: every `--help`, the examples of the documents, and the HTTP contract.

A change that is meant is written down by `make snapshots`, and shows as a difference in the commit.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx
import pytest
from typer.core import TyperGroup
from typer.testing import CliRunner

from docs.commands import built_once
from docs.documents import REPOSITORY, blocks_of, documents
from reflex.cli import app
from reflex.errors import STATUS_OF
from reflex_frontend.http.app import Server, build_app
from reflex_frontend.settings import Settings
from support.fakes import FakeTriton, act_service, policy_config

SNAPSHOTS: Final = REPOSITORY / "tests" / "snapshots"
TERMINAL: Final = {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
ACT: Final = {"instruction": "pick", "state": [0.1] * 6, "request_id": "r-1", "seed": 7}
REQUESTS: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    ("POST", "/act", {"json": ACT}),
    ("POST", "/act", {"json": {**ACT, "episode_id": "e-1"}}),
    ("POST", "/act", {"json": {"request_id": "r-2", "state": [0.1] * 6}}),
    ("POST", "/act", {"json": {**ACT, "state": [0.1]}}),
    ("POST", "/act", {"json": {**ACT, "state": ["x"]}}),
    ("POST", "/act", {"json": {**ACT, "image_b64": "no image"}}),
    ("POST", "/act", {"json": {**ACT, "images": {"left": "aGk="}}}),
    ("POST", "/act", {"json": {**ACT, "instruction": "x" * 513}}),
    ("POST", "/act", {"content": b"{", "headers": {"content-type": "application/json"}}),
    ("POST", "/act", {"content": b"{}", "headers": {"content-type": "text/plain"}}),
    ("POST", "/act", {"json": ACT, "headers": {"x-reflex-deadline-ms": "0"}}),
    ("GET", "/act", {}),
    ("GET", "/nope", {}),
    ("GET", "/health", {}),
    ("GET", "/health/live", {}),
    ("GET", "/config", {}),
    ("OPTIONS", "/act", {"headers": {
        "origin": "http://page", "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-reflex-deadline-ms"}}),
)  # fmt: skip
NEVER_THE_SAME: Final = (
    (re.compile(r'"(latency_ms|hz|uptime_seconds|\w+_ms)":\s*[-\d.e]+'), r'"\1":0'),
    (re.compile(r'"time":\s*"[^"]+"'), '"time":"NOW"'),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
)


def helps() -> str:
    """Every command's --help, as a terminal of 100 columns shows it."""
    root = built_once(app)
    shown = [f"$ reflex {' '.join(path)} --help\n{help_of(path)}" for path in sorted(paths_of(root, ()))]
    return "\n".join(shown)


def help_of(path: tuple[str, ...]) -> str:
    return CliRunner().invoke(app, [*path, "--help"], env=TERMINAL, prog_name="reflex").stdout


def paths_of(command: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from paths_of(child, (*path, name))


def examples() -> str:
    """Every fenced block of every document, in order."""
    parts = []
    for document in documents():
        name = document.relative_to(REPOSITORY).as_posix()
        parts += [f"== {name}: {block.language}\n{block.code}" for block in blocks_of(document)]
    return "\n".join(parts)


def contract() -> str:
    """The codes with their statuses, answers to all kinds of requests, and the OpenAPI document."""
    codes = "\n".join(f"{status} {code}" for code, status in sorted(STATUS_OF.items()))
    return f"{codes}\n\n{asyncio.run(answers())}"


async def answers() -> str:
    parts = []
    config = policy_config(cameras={"base": False})
    service = act_service(FakeTriton(), time.monotonic, config=config)
    transport = httpx.ASGITransport(app=build_app(Server(service, Settings.load({}))), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://robot") as client:
        for method, path, how in REQUESTS:
            response = await client.request(method, path, **how)
            headers = "\n".join(f"{name}: {value}" for name, value in sorted(response.headers.items()))
            parts.append(f"== {method} {path} {how}\n{response.status_code}\n{headers}\n{response.text}\n")
        openapi = (await client.get("/openapi.json")).json()
        parts.append(f"== GET /openapi.json\n{json.dumps(openapi, indent=1, sort_keys=True)}\n")
    text = re.sub(r"content-length: \d+\n", "", "\n".join(parts))
    for pattern, same in NEVER_THE_SAME:
        text = pattern.sub(same, text)
    return text


@pytest.mark.parametrize("made", [helps, examples, contract], ids=lambda made: made.__name__)
def test_what_users_have_seen_is_as_before(made: Callable[[], str]) -> None:
    path = SNAPSHOTS / f"{made.__name__}.txt"
    text = made()
    if os.environ.get("REFLEX_WRITE_SNAPSHOTS"):
        path.write_text(text, encoding="utf-8")

    assert text == path.read_text(encoding="utf-8")
