"""A server that asks for sessions, over real sockets: its control plane comes late, ends sessions, and goes away.

`REFLEX_FORGED_CREDENTIALS` is how many credentials that nobody should accept are tried.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from reflex.api_keys import KeyEntry, digest_of, new_key
from reflex.client import ReflexClient
from reflex.errors import SetupError, UnauthorizedError
from reflex.model_repository import CONFIG_FILE
from reflex.signed.signing import Keyset, SigningKey
from reflex.traces.reader import TraceReader
from reflex.traces.schema import RequestRecord
from reflex_bench.nonce_policy import write_nonce_policy
from support.control.forged import altered
from support.nonce import act_body
from support.nonce_server import one_process_each
from support.outside.control_stand_in import ControlPlaneStandIn, credential, running_control_plane
from support.promise import Promise
from support.server import ServerProcess, free_port, running_server
from support.waiting import HANGS_S, wait_until

CLOSED_WITHIN_S: Final = 1.0
KEY: Final = new_key()
ENDED_BEFORE: Final = "sess_that_ended_before"
FORGED: Final = int(os.environ.get("REFLEX_FORGED_CREDENTIALS", "300"))


@dataclass
class Guarded:
    """A server with keys and sessions. `unheard` is what it answered before its control plane was up."""

    server: ServerProcess
    plane: ControlPlaneStandIn
    policy_hash: str
    recordings: Path
    unheard: dict[str, httpx.Response] = field(default_factory=dict)

    def ask(self, path: str, secret: str | None, **fields: Any) -> httpx.Response:
        """POST for /act, GET for the rest."""
        headers = {"Content-Type": "application/json"} | ({} if secret is None else {"X-Reflex-Key": secret})
        method, content = ("POST", act_body(1.0, **fields)) if path == "/act" else ("GET", b"")
        url = f"{self.server.base_url}{path}"
        return httpx.request(method, url, headers=headers, content=content, timeout=HANGS_S, verify=False)

    def act(self, secret: str | None = None, **fields: Any) -> httpx.Response:
        return self.ask("/act", secret, **fields)

    def issued(self, **changes: Any) -> str:
        return credential(self.plane.key, **{"model_hash": self.policy_hash, **changes})

    @property
    def stale(self) -> str | None:
        told: str | None = self.server.health().json().get("sessions")
        return told

    @property
    def stale_metric(self) -> float:
        found = re.search(r"^reflex_sessions_stale (\S+)$", self.ask("/metrics", None).text, re.MULTILINE)
        assert found is not None
        return float(found[1])


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("sessions")
    write_nonce_policy(folder / "models", control_file=folder / "control.json")
    one_process_each(folder / "models")
    policy_hash = json.loads((folder / "models" / "nonce" / CONFIG_FILE).read_text())["policy_hash"]
    (folder / "keys").write_text(KeyEntry("reader", digest_of(KEY.encode())).as_line())
    plane = ControlPlaneStandIn(port=free_port())
    options = ("--model-repository", str(folder / "models"), "--api-keys", str(folder / "keys"),
               "--record", str(folder / "recordings"))  # fmt: skip
    environment = {"REFLEX_CONTROL_KEY": plane.api_key}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            running_server(*options, "--sessions-from", plane.url, env=environment, ready=False)
        )
        guarded = Guarded(server, plane, policy_hash, folder / "recordings")
        wait_until(lambda: is_warming_for_keys(guarded), "nothing but the keyset is missing")
        guarded.unheard = {"health": server.health(), "act": guarded.act(guarded.issued())}
        plane.tell(ENDED_BEFORE, "closed")
        stack.enter_context(running_control_plane(plane))
        server.wait_ready()
        wait_until(lambda: guarded.stale is None, "the control plane is heard")
        yield guarded


def is_warming_for_keys(guarded: Guarded) -> bool:
    assert guarded.server.process.poll() is None, guarded.server.log
    with contextlib.suppress(httpx.TransportError):
        return "told its keys" in guarded.server.health().json().get("reason", "")
    return False


def test_before_any_keyset_has_come_a_server_is_warming(guarded: Guarded) -> None:
    health, act = guarded.unheard["health"], guarded.unheard["act"]

    assert (health.status_code, health.json()["status"]) == (503, "warming")
    assert "has not been reached" in health.json()["sessions"] or "cannot be reached" in health.json()["sessions"]
    assert (act.status_code, act.json()["error"]) == (503, "warming_up")
    assert int(act.headers["retry-after"]) >= 1
    wait_until(lambda: "sessions of the control plane at" in guarded.server.log, "it is announced")


def test_a_session_that_ended_before_the_server_listened_is_refused_from_its_first_request(guarded: Guarded) -> None:
    refused = guarded.act(guarded.issued(session_id=ENDED_BEFORE))
    assert (refused.status_code, refused.json()["error"]) == (401, "session_expired")


@pytest.mark.timeout(600)
def test_of_all_that_is_forged_altered_expired_or_foreign_nothing_gets_in(guarded: Guarded) -> None:
    chance, stranger = random.Random(11), SigningKey.generate(guarded.plane.key.kid)
    good = [guarded.issued(session_id=f"sess_good_{number}") for number in range(10)]
    foreign = {
        "of another control plane": credential(stranger, model_hash=guarded.policy_hash),
        "by an unknown key": credential(SigningKey.generate("k9"), model_hash=guarded.policy_hash),
        "of another organisation": guarded.issued(organisation_id="org_2"),
        "of another model": guarded.issued(model_hash="sha256:" + "0" * 64),
        "expired": guarded.issued(issued_at_ms=1_000),
        "ended": guarded.issued(session_id=ENDED_BEFORE),
    }
    wrong = [*foreign.values(), *(f"{token} {token}" for token in good)]
    while len(wrong) < FORGED:
        made = altered(chance, chance.choice(good), chance.choice([*foreign.values(), *good]))
        wrong += [] if made in good else [made]
    with httpx.Client(base_url=guarded.server.base_url, timeout=HANGS_S, verify=False) as client:
        answers = [client.post("/act", content=act_body(1.0), headers=headers_of(token)) for token in (*wrong, *good)]

    refused, let_in = answers[: len(wrong)], answers[len(wrong) :]
    assert {(answer.status_code, answer.json()["error"]) for answer in refused} == {
        (401, "unauthorized"), (401, "session_expired"), (403, "session_mode"),
    }  # fmt: skip
    codes = [answer.json()["error"] for answer in refused[: len(foreign)]]
    assert codes == ["unauthorized"] * 3 + ["session_mode"] + ["session_expired"] * 2
    assert {answer.status_code for answer in let_in} == {200}


def headers_of(credential: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "Authorization": f"Bearer {credential}"}


@pytest.mark.parametrize("mode", ["dry_run", "apply_actions"])
def test_an_answer_says_the_mode_of_its_session(guarded: Guarded, mode: str) -> None:
    answer = guarded.act(guarded.issued(mode=mode))
    assert (answer.status_code, answer.json()["mode"]) == (200, mode)


@pytest.mark.parametrize("mode", ["dry_run", "apply_actions"])
def test_a_recording_says_which_session_asked_and_what_it_was_allowed(guarded: Guarded, mode: str) -> None:
    session_id = f"sess_{uuid.uuid4()}"
    seq = guarded.act(guarded.issued(session_id=session_id, mode=mode)).json()["record_seq"]

    def recorded() -> list[tuple[int, str | None]]:
        with contextlib.suppress(SetupError):  # nothing is written yet
            records = [entry.record for entry in TraceReader(guarded.recordings)]
            return [
                (record.record_seq, record.mode)
                for record in records
                if isinstance(record, RequestRecord) and record.session_id == session_id
            ]
        return []

    wait_until(recorded, "the request is recorded")
    assert recorded() == [(seq, mode)]


def test_a_resent_request_gets_the_answer_of_its_own_session_and_mode(guarded: Guarded) -> None:
    same = {"episode_id": "e", "request_id": "r"}
    wanted = [("sess_7", "dry_run"), ("sess_7", "apply_actions"), ("sess_8", "dry_run"), ("sess_7", "dry_run")]
    answers = [guarded.act(guarded.issued(session_id=name, mode=mode), **same).json() for name, mode in wanted]

    assert [answer["mode"] for answer in answers] == [mode for _, mode in wanted]
    assert answers[3] == answers[0]
    assert answers[2] != answers[0]


def test_the_python_client_takes_a_credential_as_its_key(guarded: Guarded) -> None:
    with ReflexClient(guarded.server.base_url, api_key=guarded.issued(issued_at_ms=1_000)) as client:
        with pytest.raises(UnauthorizedError) as caught:
            client.act(state=[0.0] * 6)
        assert (caught.value.code, caught.value.status) == ("session_expired", 401)


def test_who_has_no_session_gets_in_nowhere_and_a_key_shows_the_configuration_alone(guarded: Guarded) -> None:
    stranger = credential(SigningKey.generate("k1"), model_hash=guarded.policy_hash)
    answers = [guarded.act(secret) for secret in (None, KEY, stranger, new_key(), "rfx_sess_x")]

    assert {(answer.status_code, answer.json()["error"]) for answer in answers} == {(401, "unauthorized")}
    assert len({answer.json()["message"] for answer in answers}) == 1
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
    refused = guarded.act(guarded.issued(model_hash="sha256:" + "0" * 64))
    assert (refused.status_code, refused.json()["error"]) == (403, "session_mode")
    told = [guarded.ask("/config", secret).status_code for secret in (None, stranger, KEY, guarded.issued())]
    assert told == [401, 401, 200, 200]
    assert guarded.ask("/health", None).status_code == 200


def test_a_session_that_is_closed_is_refused_within_a_second(guarded: Guarded, promise: Promise) -> None:
    session_id = f"sess_{uuid.uuid4()}"
    token = guarded.issued(session_id=session_id)
    assert guarded.act(token).status_code == 200
    guarded.plane.tell(session_id, "closed")
    took_s = wait_until(lambda: guarded.act(token).status_code == 401, "the session is refused")

    promise("a session that was closed gets no answer", took_s, at_most=CLOSED_WITHIN_S)
    assert guarded.act(token).json()["error"] == "session_expired"
    assert guarded.act(guarded.issued()).status_code == 200


def test_without_its_control_plane_a_server_goes_on_and_says_so(guarded: Guarded) -> None:
    token, right = guarded.issued(session_id="sess_lost"), guarded.plane.api_key
    guarded.plane.tell("sess_lost", "dry_run")
    guarded.plane.api_key = new_key()
    guarded.plane.breaks += 1
    wait_until(lambda: "refuses the key of this server" in str(guarded.stale), "the stream is lost")
    assert guarded.server.health().status_code == 200
    assert guarded.stale_metric == 1.0
    guarded.plane.tell("sess_lost", "closed")
    assert guarded.act(token).status_code == 200

    guarded.plane.api_key = right
    wait_until(lambda: guarded.act(token).status_code == 401, "what ended meanwhile is heard of")
    wait_until(lambda: guarded.stale is None, "the stream is back")
    assert guarded.stale_metric == 0.0
    assert right not in guarded.server.log


def test_a_new_signing_key_counts_with_its_first_credential(guarded: Guarded) -> None:
    new = SigningKey.generate("k2")
    old = guarded.plane.keyset
    guarded.plane.keyset = Keyset.of([guarded.plane.key.as_public(), new.as_public()]).as_json()
    token = credential(new, model_hash=guarded.policy_hash)
    try:
        wait_until(lambda: guarded.act(token).status_code == 200, "the new key is known")
        assert guarded.act(guarded.issued()).status_code == 200
    finally:
        guarded.plane.keyset = old


def test_secrets_of_sessions_are_not_logged(guarded: Guarded) -> None:
    token = guarded.issued()
    for secret in (token, token[:-2] + "AA"):
        guarded.act(secret)
    assert token[9:60] not in guarded.server.log
    assert guarded.plane.api_key not in guarded.server.log


def test_a_keyset_that_is_not_there_ends_the_start_with_one_sentence(tmp_path: Path) -> None:
    with running_server("--session-key", str(tmp_path / "none"), ready=False) as server:
        assert server.process.wait(HANGS_S) == 1
        assert "--session-key" in server.log
        assert "the keyset file cannot be read" in server.log.splitlines()[-1]
        assert "Traceback" not in server.log
