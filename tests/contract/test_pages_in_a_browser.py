"""The pages at / and /docs in a real Chromium: they work, keep to their own server, and anybody can use them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from PIL import Image

from reflex.api_keys import KeyEntry, digest_of, new_key
from reflex.serving.quiet_server import QuietServer
from reflex_frontend.callers.keys import KeyRing
from reflex_frontend.http.app import Server, build_app
from reflex_frontend.settings import Settings
from support.fakes import FakeTriton, act_service
from support.hostile_served import Served
from support.outside.browser import Browser, running_browser
from support.server import running_server
from support.waiting import wait_until

pytestmark = pytest.mark.slow

KEY = new_key()
PHONE = 390
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running_browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture
def page(browser: Browser, demo: Served) -> Browser:
    """The page at / of the demo policy, once it knows the policy."""
    browser.resize(1200)
    browser.open(f"{demo.process.base_url}/")
    browser.until("!document.querySelector('#try-form').closest('section').hidden")
    return browser


def press_ask(page: Browser) -> None:
    page.evaluate("document.querySelector('#result').textContent = ''")
    page.evaluate("document.querySelector('#try-form button').click()")
    page.until("document.querySelector('#result').textContent")


def text(page: Browser, selector: str) -> str:
    return str(page.evaluate(f"document.querySelector('{selector}').textContent"))


def test_the_form_asks_the_policy_and_draws_its_chunk_axis_by_axis(page: Browser, demo: Served) -> None:
    press_ask(page)

    config = demo.client.get("/config").json()
    result = text(page, "#result")
    assert result.startswith(f"50 steps, 2.5 s at 20 Hz, from {config['policy_id']}@")
    labels = page.evaluate("[...document.querySelectorAll('svg.axis')].map((each) => each.getAttribute('aria-label'))")
    assert [label.split(":")[0] for label in labels] == [
        f"{name} (rad)" for name in config["embodiment_details"]["action_names"]
    ]
    points = page.evaluate("document.querySelector('svg.axis polyline').getAttribute('points')")
    assert len(points.split()) == config["horizon"]
    assert page.complaints == []


def test_the_policy_that_make_serve_serves_gets_pictures_of_its_size_and_a_caution(
    browser: Browser, tmp_path: Path
) -> None:
    Image.new("RGB", (2000, 100), "red").save(tmp_path / "wide.png")
    with running_server("--policy", "pick_up_the_cube") as trained:
        browser.open(f"{trained.base_url}/")
        browser.until("!document.querySelector('#try-form').closest('section').hidden")
        shown = browser.evaluate("['untrained', 'simulation'].filter((id) => !document.getElementById(id).hidden)")
        assert (shown, browser.evaluate("document.querySelector('#instruction-field').hidden")) == (
            ["simulation"],
            True,
        )
        for file in (None, tmp_path / "wide.png"):
            if file is not None:
                browser.choose("#camera-0", file)
            press_ask(browser)
            assert text(browser, "#result").startswith("16 steps, 0.5333 s at 30 Hz, from pick_up_the_cube@")
        assert browser.evaluate("document.querySelectorAll('svg.axis polyline').length") == 6
        assert [found for found in axe(browser) if found["impact"] in SERIOUS] == []


def test_a_picture_of_ones_own_is_sent_and_a_file_that_is_none_is_a_sentence(page: Browser, tmp_path: Path) -> None:
    Image.new("RGB", (2000, 100), "red").save(tmp_path / "wide.png")
    (tmp_path / "notes.txt").write_text("no picture")

    page.choose("#camera-0", tmp_path / "wide.png")
    press_ask(page)
    assert text(page, "#result").startswith("50 steps")
    page.choose("#camera-0", tmp_path / "notes.txt")
    press_ask(page)
    assert text(page, "#result") == "notes.txt is no picture that this browser can read"


def test_the_servers_own_refusal_is_shown(page: Browser) -> None:
    page.evaluate("document.querySelector('#instruction').removeAttribute('maxlength')")
    page.evaluate("document.querySelector('#instruction').value = 'x'.repeat(513)")
    press_ask(page)

    assert text(page, "#result").startswith("instruction_too_long: ")


def test_health_and_what_is_answered_show_without_a_reload(page: Browser, demo: Served) -> None:
    page.until("document.querySelector('#status').textContent === 'ready'")
    assert page.evaluate("document.querySelector('#simulation').hidden")
    page.until("document.querySelector('#live').textContent.includes('since the start')")
    before = text(page, "#live")
    demo.act()
    page.until(f"document.querySelector('#live').textContent !== {json.dumps(before)}")
    page.until("document.querySelector('#live').textContent.includes('mean')")


def test_the_page_names_rate_axes_units_and_limits(page: Browser, demo: Served) -> None:
    robot = demo.client.get("/config").json()["embodiment_details"]
    cells = page.evaluate(
        "[...document.querySelectorAll('#axes tr')].map((row) => [...row.children].map((cell) => cell.textContent))"
    )

    assert f"at {robot['control_hz']:g} actions a second" in text(page, "#embodiment")
    assert [row[:2] for row in cells] == [
        [name, unit] for name, unit in zip(robot["action_names"], robot["action_units"], strict=True)
    ]
    assert [float(row[2]) for row in cells] == robot["action_low"]
    assert [float(row[4]) for row in cells] == robot["action_max_step"]


def test_the_lines_to_copy_work_as_they_stand(page: Browser, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "picture.jpg")
    for instruction in ("pick up the red cup", 'it\'s 50% "done"\\n'):
        page.evaluate(f"document.querySelector('#instruction').value = {json.dumps(instruction)}")
        page.evaluate("document.querySelector('#try-form').dispatchEvent(new Event('input'))")
        python = subprocess.run(
            [sys.executable, "-c", text(page, "#python")], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert "panda_joint1" in python.stdout
        printed, _, curl = text(page, "#curl").partition("| curl")
        sent = subprocess.run(["bash", "-c", printed], cwd=tmp_path, capture_output=True, text=True, check=True)
        body = json.loads(sent.stdout)
        assert body["instruction"] == instruction
        assert body["images"]["image"].startswith("/9j/")
        address = shlex.split(curl)[1]
        assert address == page.evaluate("location.origin") + "/act"


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_nothing_is_asked_of_any_other_server_and_nothing_complains(browser: Browser, demo: Served, path: str) -> None:
    browser.open(demo.process.base_url + path)
    browser.until("document.querySelectorAll('section').length > 3")
    browser.evaluate("new Promise((done) => setTimeout(done, 100))")

    assert len(browser.requests) > 4
    assert {url for url in browser.requests if not url.startswith(f"{demo.process.base_url}/")} == set()
    assert browser.complaints == []


@pytest.mark.parametrize("script", ["eval('1')", "fetch('http://127.0.0.1:9/')"])
def test_the_page_may_run_no_text_as_code_and_reach_nobody_else(page: Browser, script: str) -> None:
    refused = page.evaluate(
        f"new Promise((done) => {{ document.addEventListener('securitypolicyviolation', () => done(true));"
        f" const tag = document.createElement('script'); tag.textContent = {json.dumps(script)};"
        f" document.head.append(tag); fetch('http://127.0.0.1:9/').catch(() => {{}}); }})"
    )

    assert refused is True


@pytest.mark.parametrize("path", ["/", "/docs"])
@pytest.mark.parametrize(("width", "is_dark"), [(1200, False), (1200, True), (PHONE, False), (PHONE, True)])
def test_the_pages_fit_any_screen_and_anybody_can_use_them(
    browser: Browser, demo: Served, path: str, width: int, is_dark: bool
) -> None:
    browser.resize(width, is_dark=is_dark)
    browser.open(demo.process.base_url + path)
    browser.until("document.querySelectorAll('section:not([hidden])').length > 3")
    if path == "/":
        press_ask(browser)

    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert [found for found in axe(browser) if found["impact"] in SERIOUS] == []


def axe(browser: Browser) -> list[dict[str, Any]]:
    """What axe-core finds, by its rules for people who use no mouse, no colours, or no screen."""
    browser.evaluate((resources.files("axe_core_python") / "axe.min.js").read_text() + ";0")
    found = browser.evaluate("axe.run().then((found) => JSON.stringify(found.violations))")
    violations: list[dict[str, Any]] = json.loads(found)
    return violations


def test_axe_would_find_a_picture_without_words_and_letters_that_cannot_be_read(page: Browser) -> None:
    page.evaluate(
        "const bad = document.createElement('p'); bad.textContent = 'grey on grey';"
        " bad.setAttribute('class', 'bad');"
        " document.querySelector('main').append(bad, document.createElement('input'));"
        " const sheet = new CSSStyleSheet(); sheet.replaceSync('.bad { color: #888; background: #999 }');"
        " document.adoptedStyleSheets = [sheet]; 0"
    )

    assert {"color-contrast", "label"} <= {found["id"] for found in axe(page)}


@contextlib.contextmanager
def guarded_server(folder: Path) -> Iterator[str]:
    """A server that asks for keys and lets no other site's page call it, on a Triton that is none."""
    keys = folder / "keys"
    keys.write_text(KeyEntry("arm-1", digest_of(KEY.encode()), None).as_line())
    service = act_service(FakeTriton(), time.monotonic)
    object.__setattr__(service, "keys", KeyRing.read(keys, time.monotonic))
    config = uvicorn.Config(
        build_app(Server(service, Settings.load({"cors_origins": "https://lab.example"}))),
        port=0,
        log_config=None,
        ws="none",
    )
    server = QuietServer(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        wait_until(lambda: server.started, "the server listens")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def test_with_keys_the_page_asks_for_one_and_forgets_it_when_it_is_loaded_again(
    browser: Browser, tmp_path: Path
) -> None:
    with guarded_server(tmp_path) as url:
        browser.open(f"{url}/")
        browser.until("!document.querySelector('#key-section').hidden")
        for given, is_right in (("rfx_wrong", False), (KEY, True)):
            browser.evaluate(f"document.querySelector('#key').value = {json.dumps(given)}")
            browser.evaluate("document.querySelector('#key-form button').click()")
            shown = "#try-form" if is_right else "#key-problem"
            browser.until(f"document.querySelector('{shown}').closest('section').hidden === false"
                          f" && document.querySelector('{shown}').textContent")  # fmt: skip
        browser.until("document.querySelector('#key-section').hidden")
        press_ask(browser)
        assert text(browser, "#result").startswith("4 steps")
        assert "REFLEX_API_KEY" in text(browser, "#curl")
        assert KEY not in browser.evaluate("document.documentElement.outerHTML")
        kept = browser.evaluate("[{...localStorage}, {...sessionStorage}, document.cookie, key.value]")
        assert kept == [{}, {}, "", ""]
        assert [url for url in browser.requests if KEY in url] == []
        browser.open(f"{url}/")
        browser.until("!document.querySelector('#key-section').hidden")
