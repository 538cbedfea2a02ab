"""The files of the pages, without a browser; tests/contract/test_pages_in_a_browser.py uses them in one."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import httpx
import pytest

from reflex.wire import AUTHORIZATION_HEADER, DEADLINE_HEADER, EMBODIMENT_FIELD
from reflex_frontend.http import pages
from reflex_frontend.http.app import Server, build_app
from reflex_frontend.http.pages import PAGE_SAFETY, page_routes
from reflex_frontend.settings import Settings
from support.fakes import FakeTriton, act_service

FOLDER = Path(pages.__file__).parent / "page"
FILES = sorted(FOLDER.iterdir())
PATHS = [route.path for route in page_routes()]
POLICY = dict(part.strip().split(" ", 1) for part in PAGE_SAFETY["content-security-policy"].split(";"))


def answers(*paths: str) -> list[httpx.Response]:
    async def ask() -> list[httpx.Response]:
        app = build_app(Server(act_service(FakeTriton(), time.monotonic), Settings.load({})))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://robot") as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(ask())


def test_each_file_of_the_folder_is_sent_as_what_it_is() -> None:
    sent = {file.name: answer for file, answer in zip(FILES, answers(*map(path_of, FILES)), strict=True)}

    assert {name: (answer.status_code, answer.content) for name, answer in sent.items()} == {
        file.name: (200, file.read_bytes()) for file in FILES
    }
    assert sent["index.html"].headers["content-type"] == "text/html; charset=utf-8"
    assert sent["index.js"].headers["content-type"] == "text/javascript; charset=utf-8"
    assert {answer.headers["x-content-type-options"] for answer in sent.values()} == {"nosniff"}


def path_of(file: Path) -> str:
    return {"index.html": "/", "docs.html": "/docs"}.get(file.name, f"/page/{file.name}")


@pytest.mark.parametrize("path", PATHS)
def test_the_policy_lets_nothing_in_but_this_servers_own_files(path: str) -> None:
    (answer,) = answers(path)

    assert answer.headers["content-security-policy"] == PAGE_SAFETY["content-security-policy"]
    assert set(POLICY.values()) == {"'self'", "'none'"}
    assert (POLICY["default-src"], POLICY["frame-ancestors"], POLICY["form-action"]) == ("'none'",) * 3


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_file_names_another_host_or_has_script_or_style_in_its_markup(file: Path) -> None:
    text = file.read_text(encoding="utf-8")

    assert set(re.findall(r"//[\w.-]+\.\w+", text)) <= {"//www.w3.org"}  # SVG's own name, which nobody asks
    assert (
        re.findall(r"innerHTML|insertAdjacent|document\.write|\beval\(|\sstyle=|\son\w+=\"|<style|<script>", text) == []
    )


def test_the_scripts_know_the_contract_by_its_names() -> None:
    scripts = "".join(file.read_text(encoding="utf-8") for file in FILES if file.suffix == ".js")

    for name in (EMBODIMENT_FIELD, DEADLINE_HEADER, AUTHORIZATION_HEADER, "routing_degraded", "guard_violations"):
        assert name in scripts
    assert set(re.findall(r'fetch\("(/[^"]*)"', scripts)) == {
        "/act", "/config", "/health", "/metrics", "/openapi.json",
    }  # fmt: skip
