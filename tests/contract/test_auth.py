"""Who may ask what: every route that the server has, with every credential that is none; and where secrets end up."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from starlette.routing import Route

from reflex.api_keys import KeyEntry, digest_of, new_key
from reflex_frontend.http.app import CORRECT, Server, build_app
from reflex_frontend.http.pages import page_routes
from reflex_frontend.rollout.admin import Admin, build_admin
from reflex_frontend.settings import Settings
from support.fakes import FakeTriton, act_service
from support.hostile import RawAnswer, exchange, is_envelope
from support.misuse.credentials import Credential, bearer, in_key_header, wrong_credentials
from support.nonce import act_body
from support.promise import Promise
from support.server import command, free_port, running_server
from support.two_policies import TwoPolicies, two_policies
from support.waiting import HANGS_S, let_pass, wait_until

NEED_A_KEY: Final = {"/act", CORRECT, "/config", "/v1/actions/metadata"}
NEED_NONE: Final = {"/health", "/health/live", "/metrics", "/openapi.json", *(route.path for route in page_routes())}
"""Orchestrators and Prometheus have no key; the description of the routes and the pages hold nothing of this server's
own."""
KEY, LIMITED, REVOKED = new_key(), new_key(), new_key()
ADMIN_TOKEN: Final = "an-admin-token-of-thirty-two-characters"
LIMIT_PER_S: Final = 2
AT_ONCE: Final = 8
REVOKED_WITHIN_S: Final = 1.0
REFUSED_START_S: Final = HANGS_S
ANSWERED: Final = 10
ORIGIN: Final = (b"Origin", b"https://lab.example")
BODY: Final = act_body(1.0, episode_id="e")


def robot_routes() -> list[str]:
    """The paths of the application as it is built, not as somebody listed them."""
    app = build_app(Server(act_service(FakeTriton(), time.monotonic), Settings.load({})))
    return sorted({route.path for route in app.routes if isinstance(route, Route)})


def admin_requests() -> list[tuple[str, str]]:
    """Method and path of every admin route."""
    app = build_admin(Admin(router=None, rollout=None, token=""))  # type: ignore[arg-type]
    routes = [route for route in app.routes if isinstance(route, Route)]
    return [
        (method, route.path.replace("{slot}", "b"))
        for route in routes
        for method in sorted(set(route.methods or ()) - {"HEAD"})
    ]


ROUTES: Final = robot_routes()
ADMIN: Final = admin_requests()
WRONG: Final = wrong_credentials(KEY) | {
    "revoked": Credential((bearer(REVOKED),)),
    "admin's": Credential((bearer(ADMIN_TOKEN),)),
}
WRONG_FOR_ADMIN: Final = wrong_credentials(ADMIN_TOKEN) | {
    "in the header of keys": Credential((in_key_header(ADMIN_TOKEN),)),
    "an API key": Credential((bearer(KEY),)),
}
WRONG_FOR_ADMIN.pop("headers that disagree")  # only Authorization counts there
RIGHT: Final = {
    "Authorization": Credential((bearer(KEY),)),
    "X-Reflex-Key": Credential((in_key_header(KEY),)),
    "both": Credential((bearer(KEY), in_key_header(KEY))),
    "beside a proxy's": Credential(((b"Authorization", b"Basic cHJveHk6cHJveHk="), in_key_header(KEY))),
}


@dataclass
class Guarded:
    """A server with keys and admin routes that records, and everything that it ever answered here."""

    two: TwoPolicies
    admin_port: int
    key_file: Path
    recordings: Path
    answers: list[RawAnswer] = field(default_factory=list)

    def ask(self, path: str, credential: Credential, *more: tuple[bytes, bytes]) -> RawAnswer:
        """POST for /act and /act/correct, GET for the rest."""
        is_act = path in ("/act", CORRECT)
        return self._ask(self.two.port, "POST" if is_act else "GET", path, credential, more, BODY if is_act else b"")

    def administer(self, method: str, path: str, credential: Credential, body: bytes = b"{}") -> RawAnswer:
        return self._ask(self.admin_port, method, path, credential, (), body)

    def _ask(
        self,
        port: int,
        method: str,
        path: str,
        credential: Credential,
        more: tuple[tuple[bytes, bytes], ...],
        body: bytes,
    ) -> RawAnswer:
        lines = [f"{method} {path}{credential.query} HTTP/1.1".encode(), b"Host: localhost"]
        lines += [name + b": " + value for name, value in (*credential.headers, *more)]
        lines += [b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
        (answer,) = exchange(port, b"\r\n".join(lines) + b"\r\n\r\n" + body)
        self.answers.append(answer)
        return answer


def write_keys(file: Path, *keys: str) -> None:
    limits = {LIMITED: float(LIMIT_PER_S)}
    entries = [KeyEntry(f"arm-{number}", digest_of(key.encode()), limits.get(key)) for number, key in enumerate(keys)]
    scratch = file.with_suffix(".new")
    scratch.write_text("".join(entry.as_line() for entry in entries))
    scratch.replace(file)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("auth")
    key_file, recordings, admin_port = folder / "keys", folder / "recordings", free_port()
    write_keys(key_file, KEY, LIMITED, REVOKED)
    options = ("--api-keys", str(key_file), "--record", str(recordings), "--json-logs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REFLEX_ADMIN_TOKEN", ADMIN_TOKEN)
        with two_policies(folder, *options, admin_port=admin_port) as two:
            patch.undo()  # a server with one policy, which others start, has no use for a token and says so
            two.process.triton_address()
            guarded = Guarded(two, admin_port, key_file, recordings)
            revoke(guarded, REVOKED)
            yield guarded


def revoke(guarded: Guarded, key: str) -> float:
    """Seconds until the key, which is right before, is refused; the keys of the other tests stay."""
    taken_back = Credential((bearer(key),))
    assert guarded.ask("/config", taken_back).status == 200
    write_keys(guarded.key_file, KEY, LIMITED)
    return wait_until(lambda: guarded.ask("/config", taken_back).status == 401, "the key is refused")


def test_a_revoked_key_stops_within_a_second(guarded: Guarded, promise: Promise) -> None:
    key = new_key()  # each time another one, for what was taken back stays so
    write_keys(guarded.key_file, KEY, LIMITED, key)
    wait_until(lambda: guarded.ask("/config", Credential((bearer(key),))).status == 200, "the new key is read")
    took_s = revoke(guarded, key)
    promise("a server refuses a key that was taken back", took_s, at_most=REVOKED_WITHIN_S)
    assert guarded.ask("/act", Credential((bearer(key),))).status == 401
    assert guarded.ask("/act", RIGHT["Authorization"]).status == 200


def test_every_route_is_in_the_table() -> None:
    assert set(ROUTES) == NEED_A_KEY | NEED_NONE


@pytest.mark.parametrize("credential", WRONG)
@pytest.mark.parametrize("path", ROUTES)
def test_without_a_right_key_only_the_open_routes_answer(guarded: Guarded, path: str, credential: str) -> None:
    for more in ((), (ORIGIN,)):
        answer = guarded.ask(path, WRONG[credential], *more)
        if path in NEED_NONE:
            assert answer.status == 200
            continue
        assert (answer.status, answer.code, answer.headers["www-authenticate"]) == (401, "unauthorized", "Bearer")
        assert is_envelope(answer)
        assert said(answer) == said(guarded.ask(path, Credential()))


def answered(path: str) -> int:
    """By a server without a head, which corrects nothing and says so to whoever may ask."""
    return 404 if path == CORRECT else 200


@pytest.mark.parametrize("credential", RIGHT)
@pytest.mark.parametrize("path", ROUTES)
def test_with_the_right_key_every_route_answers(guarded: Guarded, path: str, credential: str) -> None:
    for more in ((), (ORIGIN,)):
        assert guarded.ask(path, RIGHT[credential], *more).status == answered(path)


@pytest.mark.parametrize("credential", WRONG_FOR_ADMIN)
@pytest.mark.parametrize(
    ("method", "path"), [*ADMIN, ("GET", "/"), ("GET", "/split"), ("POST", "/slots/"), ("GET", "/x")]
)
def test_without_the_token_the_admin_routes_tell_nothing(
    guarded: Guarded, method: str, path: str, credential: str
) -> None:
    answer = guarded.administer(method, path, WRONG_FOR_ADMIN[credential])
    assert (answer.status, answer.code, answer.headers["www-authenticate"]) == (401, "unauthorized", "Bearer")
    assert is_envelope(answer)
    assert said(answer) == said(guarded.administer("GET", "/slots", Credential()))


@pytest.mark.parametrize(("method", "path"), ADMIN)
def test_with_the_token_the_admin_routes_are_reached(guarded: Guarded, method: str, path: str) -> None:
    answer = guarded.administer(method, path, Credential((bearer(ADMIN_TOKEN),)))
    assert answer.status == (200 if method == "GET" else 400)


def said(answer: RawAnswer) -> dict[str, Any]:
    """An error without what differs from request to request."""
    envelope: dict[str, Any] = answer.json()
    return {**envelope, "request_id": None}


def test_a_key_beyond_its_own_limit_gets_429_and_the_others_go_on(guarded: Guarded) -> None:
    limited = Credential((bearer(LIMITED),))
    assert guarded.ask("/act", limited).status == 200
    with ThreadPoolExecutor(AT_ONCE) as clients:  # at once, for a machine so busy that the limit is never met
        answers = list(clients.map(lambda _: guarded.ask("/act", limited), range(AT_ONCE)))
    refused = next(answer for answer in answers if answer.status == 429)
    assert (refused.status, refused.code, refused.json()["limit_per_s"]) == (429, "rate_limited", LIMIT_PER_S)
    assert is_envelope(refused)
    assert 0 < refused.json()["retry_after_s"] <= 1 / LIMIT_PER_S
    assert guarded.ask("/config", limited).status == 200
    assert guarded.ask("/act", RIGHT["Authorization"]).status == 200
    let_pass(refused.json()["retry_after_s"])
    assert guarded.ask("/act", limited).status == 200


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("host", "is_answered"),
    [
        ("localhost", True),
        ("127.0.0.1:9", True),
        ("[::1]", True),
        ("page.example", False),
        ("localhost.page.example", False),
    ],
)
def test_only_callers_by_a_local_name_or_an_address_are_answered(
    guarded: Guarded, path: str, host: str, is_answered: bool
) -> None:
    url = f"http://127.0.0.1:{guarded.two.port}{path}"
    headers = {"host": host, "x-reflex-key": KEY, "content-type": "application/json"}
    method, content = ("POST", BODY) if path in ("/act", CORRECT) else ("GET", b"")
    answer = httpx.request(method, url, headers=headers, content=content, timeout=HANGS_S, verify=False)
    assert answer.status_code == (answered(path) if is_answered else 400)
    assert is_answered or answer.json()["error"] == "invalid_http"


def test_the_admin_file_is_for_this_user_alone(guarded: Guarded) -> None:
    file = guarded.two.folder / "reflex" / f"admin-{guarded.admin_port}.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert json.loads(file.read_text())["token"] == ADMIN_TOKEN


def secrets_in(text: bytes) -> list[str]:
    """Keys, their hashes, the admin token: any of them in the text."""
    wanted = {"token": ADMIN_TOKEN.encode()}
    for name, key in {"key": KEY, "limited": LIMITED, "revoked": REVOKED}.items():
        wanted |= {name: key[4:34].encode(), f"hash of {name}": digest_of(key.encode()).hex()[:32].encode()}
    return [name for name, secret in wanted.items() if secret in text]


def test_secrets_appear_nowhere(guarded: Guarded) -> None:
    """Neither in what it answered here, nor in all that came of the other tests before."""
    for credential in (*WRONG.values(), *RIGHT.values(), Credential()):
        guarded.ask("/act", credential)
    for credential in WRONG_FOR_ADMIN.values():
        guarded.administer("GET", "/slots", credential)
    for _ in range(ANSWERED):
        assert guarded.ask("/act", RIGHT["both"]).status == 200
    guarded.administer("POST", "/split", Credential((bearer(ADMIN_TOKEN),)), b'{"split": 50}')
    for path in ROUTES:
        guarded.ask(path, RIGHT["both"])
    assert len(guarded.answers) > len(ROUTES)
    for answer in guarded.answers:
        assert secrets_in(json.dumps(dict(answer.headers)).encode() + answer.body) == []
    log = guarded.two.process.log
    assert "split changed" in log
    assert secrets_in(log.encode()) == []
    wait_until(lambda: recorded(guarded).count(b'"kind":"request"') >= ANSWERED, "the answers are recorded")
    files, text = list(guarded.recordings.iterdir()), recorded(guarded)
    assert secrets_in(text) == []
    assert secrets_in(b"\n".join(str(file).encode() for file in files)) == []


def recorded(guarded: Guarded) -> bytes:
    return b"".join(zlib.decompressobj(31).decompress(file.read_bytes()) for file in guarded.recordings.iterdir())


def test_without_keys_nobody_listens_beyond_this_machine() -> None:
    ended = subprocess.run(
        command(free_port(), ["--host", "0.0.0.0"]),
        capture_output=True,
        text=True,
        timeout=REFUSED_START_S,
        check=False,
    )
    assert ended.returncode == 1
    assert re.search(r"reflex: --host 0\.0\.0\.0 .*--api-keys FILE .*--insecure", ended.stderr)
    assert "Traceback" not in ended.stderr
    assert "Triton" not in ended.stderr


@pytest.mark.parametrize("how", ["insecure", "keys"])
def test_with_keys_or_a_word_the_server_listens_and_its_text_log_holds_no_secret(tmp_path: Path, how: str) -> None:
    write_keys(tmp_path / "keys", KEY)
    options = ("--insecure",) if how == "insecure" else ("--api-keys", str(tmp_path / "keys"))
    with running_server("--host", "0.0.0.0", *options, ready=False) as server:

        def is_live() -> bool:
            try:
                return httpx.get(f"{server.base_url}/health/live", timeout=HANGS_S, verify=False).status_code == 200
            except httpx.TransportError:
                return False

        wait_until(is_live, "it listens")
        statuses = [
            httpx.get(f"{server.base_url}/config", headers=headers, timeout=HANGS_S).status_code
            for headers in ({}, {"X-Reflex-Key": KEY}, {"Authorization": f"Bearer {KEY}x"})
        ]
        assert statuses == ([200] * 3 if how == "insecure" else [401, 200, 401])
        assert secrets_in(server.log.encode()) == []


def test_a_key_file_that_is_not_there_ends_the_start_with_one_sentence(tmp_path: Path) -> None:
    arguments = ["--api-keys", str(tmp_path / "none")]
    ended = subprocess.run(
        command(free_port(), arguments), capture_output=True, text=True, timeout=REFUSED_START_S, check=False
    )
    assert ended.returncode == 1
    assert ": the key file cannot be read" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
