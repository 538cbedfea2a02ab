"""Signing in to the dashboard over the real socket: by key and by code, out at once, and by nobody else's form."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from reflex.api_keys import new_key
from reflex_control.dashboard.site import GUESSES_AT_ONCE, PAGES
from reflex_control.identity.keys import revoke_key
from reflex_control.moments import now_ms
from support.outside.control_plane import ControlProcess, Tenant, prepared_store, running_control
from support.outside.lab import Lab
from support.outside.visitor import UNHURRIED, Visitor

COOKIE = "reflex_sign_in"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Scene:
    control: ControlProcess
    tenant: Tenant
    key: str

    def revoke(self, key_id: str) -> None:
        with self.tenant.store.writing() as connection:
            assert revoke_key(connection, key_id, now_ms())


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("control") / "data"
    with prepared_store(folder) as (ours, _), running_control(folder, *UNHURRIED) as control:
        yield Scene(control, ours, ours.admin().secret)


@pytest.fixture
def visitor(scene: Scene) -> Iterator[Visitor]:
    visiting = Visitor(scene.control.base_url)
    yield visiting
    visiting.close()


def test_who_is_not_signed_in_sees_the_sign_in_page_and_then_the_page_that_was_asked_for(
    scene: Scene, visitor: Visitor
) -> None:
    sent = visitor.get("/receipts?kind=key_created")
    assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in?next=%2Freceipts%3Fkind%3Dkey_created")

    done = visitor.submit(sent.headers["location"], "/sign-in", {"key": f" {scene.key} "})
    assert (done.status_code, done.headers["location"]) == (303, "/receipts?kind=key_created")
    assert visitor.get("/receipts").status_code == 200
    assert visitor.get("/sign-in").headers["location"] == "/"


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nb", "evil"])
def test_nobody_is_sent_to_another_site_after_signing_in(scene: Scene, visitor: Visitor, to: str) -> None:
    done = visitor.submit("/sign-in", "/sign-in", {"key": scene.key, "next": to})

    assert done.headers["location"] == "/"


def test_the_cookie_is_strict_out_of_reach_of_scripts_and_holds_no_key(scene: Scene, visitor: Visitor) -> None:
    made = visitor.sign_in(scene.key).headers["set-cookie"]

    assert made.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(made.split("; "))
    assert "Secure" not in made
    assert scene.key.removeprefix("rfx_") not in made


def test_over_https_the_cookie_goes_nowhere_else(scene: Scene, visitor: Visitor) -> None:
    form = visitor.form("/sign-in", "/sign-in")
    own = scene.control.base_url.replace("http:", "https:")

    assert "; Secure" in visitor.send(form, {"key": scene.key}, headers={"origin": own}).headers["set-cookie"]


@pytest.mark.parametrize("kind", ["unknown", "revoked", "expired", "empty"])
def test_a_key_that_does_not_hold_signs_nobody_in(scene: Scene, visitor: Visitor, kind: str) -> None:
    revoked, expired = scene.tenant.key("read"), scene.tenant.key("read", expires_at=1)
    scene.revoke(revoked.id)
    secret = {"unknown": new_key(), "revoked": revoked.secret, "expired": expired.secret, "empty": ""}[kind]
    refused = visitor.sign_in(secret)

    assert refused.status_code == 401
    assert "this key was not accepted" in refused.text
    assert "set-cookie" not in refused.headers
    assert not secret or secret not in refused.text


def test_a_robots_own_key_signs_nobody_in_and_one_without_a_scope_sees_what_it_may(
    scene: Scene, visitor: Visitor
) -> None:
    robot_id = Lab(scene.tenant).robot("arm of its own")
    refused = visitor.sign_in(scene.tenant.key(robot_id=robot_id).secret)
    assert (refused.status_code, "a robot&#39;s own key" in refused.text) == (403, True)

    visitor.sign_in(scene.tenant.key("train").secret)
    assert "This key may not <code>read</code>" in visitor.get("/").text
    assert visitor.get("/robots").status_code == 403


def test_a_revoked_keys_cookie_stops_working_at_once(scene: Scene, visitor: Visitor) -> None:
    key = scene.tenant.key("read")
    visitor.sign_in(key.secret)
    assert visitor.get("/robots").status_code == 200

    scene.revoke(key.id)
    sent = visitor.get("/robots")
    assert sent.headers["location"] == "/sign-in?next=%2Frobots&done=ended"
    assert f'{COOKIE}=""' in sent.headers["set-cookie"]
    assert "You were signed out" in visitor.get(sent.headers["location"]).text


def test_signing_out_ends_every_copy_of_the_cookie(scene: Scene, visitor: Visitor) -> None:
    visitor.sign_in(scene.key)
    copied = visitor.client.cookies[COOKIE]
    assert visitor.submit("/", "/sign-out").headers["location"] == "/sign-in?done=signed-out"

    thief = Visitor(scene.control.base_url)
    thief.client.cookies.set(COOKIE, copied)
    assert thief.get("/robots").status_code == 303
    thief.close()


def test_a_stream_that_is_open_somewhere_ends_with_the_sign_in(scene: Scene, visitor: Visitor) -> None:
    lab = Lab(scene.tenant, itertools.count(100))
    robot_id, deployment_id = lab.robot("arm that is watched"), lab.deployment("watched")
    visitor.sign_in(scene.key)
    leaving = Visitor(scene.control.base_url)
    leaving.client.cookies.set(COOKIE, visitor.client.cookies[COOKIE])
    with visitor.client.stream("GET", "/live") as stream:
        lines = stream.iter_lines()
        assert "event: caught_up" in lines
        assert leaving.submit("/", "/sign-out").status_code == 303
        lab.session(deployment_id, robot_id)
        assert "dry_run" not in "".join(lines)
    leaving.close()


def test_a_form_without_its_token_or_with_another_browsers_is_refused(scene: Scene, visitor: Visitor) -> None:
    other = Visitor(scene.control.base_url)
    other.sign_in(scene.key)
    visitor.sign_in(scene.key)
    stranger = dict(other.form("/keys", "/keys").fields)["token"]
    for token in ("", "0" * 64, stranger):
        refused = visitor.submit("/keys", "/keys", {"token": token, "name": "planted"}, ["admin"])
        assert refused.status_code == 403
        assert "this form is not from a page" in refused.text
    other.close()

    assert "planted" not in visitor.get("/keys").text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "null", "sec-fetch-site": "none"},
    ],
)
def test_a_form_that_another_site_sent_is_refused(scene: Scene, visitor: Visitor, headers: dict[str, str]) -> None:
    visitor.sign_in(scene.key)
    refused = visitor.submit("/keys", "/keys", {"name": "planted"}, ["admin"], headers)

    assert refused.status_code == 403
    assert "sent by another site" in refused.text
    assert "planted" not in visitor.get("/keys").text


def test_a_body_that_is_no_form_is_refused(scene: Scene, visitor: Visitor) -> None:
    visitor.sign_in(scene.key)
    own = {"origin": scene.control.base_url}
    statuses = [
        visitor.client.post("/keys", json={"name": "x"}, headers=own).status_code,
        visitor.client.post("/keys", files={"name": b"x"}, headers=own).status_code,
        visitor.client.post("/keys", data={"name": "a" * 2**20}, headers=own).status_code,
    ]

    assert statuses == [415, 415, 413]


def test_every_page_has_headers_that_let_nothing_else_run_load_or_frame_it(scene: Scene, visitor: Visitor) -> None:
    visitor.sign_in(scene.key)
    open_pages = [page.path for page in PAGES if page.method == "GET" and "{" not in page.path]
    for path in [*open_pages, "/robots/none", "/sign-in?next=/"]:
        if path in ("/live", "/receipts/export"):
            continue
        answer = visitor.get(path)
        assert answer.headers["content-security-policy"] == POLICY, path
        assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"<style|\bstyle=|\bon[a-z]+=|<script(?! type=\"module\" src=\"/assets/)", answer.text), (
            path
        )


def test_the_files_of_the_pages_need_no_sign_in(visitor: Visitor) -> None:
    for name, media in (("dashboard.css", "text/css"), ("live.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
        answer = visitor.get(f"/assets/{name}")
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, media)
    assert visitor.get("/assets/../site.py").status_code == 404


def ask_for_code(visitor: Visitor) -> str:
    shown = visitor.submit("/sign-in?next=/robots", "/sign-in/code")
    found = re.search(r'class="secret">([A-Z-]+)<', shown.text)
    assert shown.status_code == 200
    assert found is not None
    return found[1]


def finish(visitor: Visitor) -> httpx.Response:
    """As the page with the code does."""
    fields = {"token": dict(visitor.form("/sign-in", "/sign-in").fields)["token"], "next": "/robots"}
    return visitor.client.post("/sign-in/code/finish", data=fields, headers={"origin": visitor.base_url})


def test_who_is_told_a_code_signs_in_once_an_admin_confirmed_it_and_takes_the_key_along_when_leaving(
    scene: Scene, visitor: Visitor
) -> None:
    code = ask_for_code(visitor)
    with closing(Visitor(scene.control.base_url)) as admin:
        admin.sign_in(scene.key)
        assert "dashboard" in admin.get(f"/device?code={code}").text
        confirmed = admin.submit(f"/device?code={code.lower()}", "/device", ticked=["read"])
        assert confirmed.headers["location"] == "/device?done=confirmed"

    assert finish(visitor).headers["location"] == "/robots"
    assert visitor.get("/robots").status_code == 200
    made = [key for key in scene.control.ask("GET", "/v1/keys", scene.key).json()["keys"] if key["name"] == "dashboard"]
    assert [key["expiresAt"] is None for key in made] == [False], "the key outlives the cookie that alone knows it"
    visitor.submit("/robots", "/sign-out")
    keys = scene.control.ask("GET", "/v1/keys", scene.key).json()["keys"]
    assert [key["revokedAt"] is None for key in keys if key["name"] == "dashboard"] == [False]


def test_a_code_that_nobody_has_confirmed_yet_stays_in_view(scene: Scene, visitor: Visitor) -> None:
    code = ask_for_code(visitor)
    waiting = finish(visitor)

    assert (waiting.status_code, code in waiting.text) == (428, True)
    assert visitor.get("/robots").status_code == 303


def test_a_browser_that_asked_for_no_code_takes_no_key(visitor: Visitor) -> None:
    assert "ask for a new one" in finish(visitor).text


@pytest.mark.slow
def test_an_address_that_guesses_is_held_up_and_whoever_has_a_key_is_not_counted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with prepared_store(data) as (ours, _), running_control(data, *UNHURRIED) as control:
        visitor, key = Visitor(control.base_url), ours.admin().secret
        form = visitor.form("/sign-in", "/sign-in")
        for _ in range(GUESSES_AT_ONCE):
            assert visitor.send(form, {"key": key}).status_code == 303
            visitor.client.cookies.delete(COOKIE)
        statuses = [visitor.send(form, {"key": new_key()}).status_code for _ in range(GUESSES_AT_ONCE)]
        held_up = visitor.send(form, {"key": key})
        visitor.close()

    assert set(statuses) == {401}
    assert (held_up.status_code, 0 < int(held_up.headers["retry-after"]) <= 6) == (429, True)
