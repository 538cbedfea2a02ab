"""`act`: what is sent is a body of `/act`, what comes is dated by its observation, a refusal keeps its own words."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import httpx
import numpy as np
import pytest

from docs.documents import REPOSITORY
from reflex.client import MockTransport, chunk
from reflex.errors import (
    ClientTimeoutError,
    InvalidRequestError,
    SetupError,
    TransportError,
    UnauthorizedError,
    UnavailableError,
    service_error,
)
from reflex_runner.config.sections import TargetConfig
from reflex_runner.transports.act import ActTransport
from reflex_runner.transports.transport import Asking
from support.runner.asked import observation, silent_server


class AtSeven:
    """A clock on which it is always seven."""

    def now(self) -> float:
        return 7.0

    def sleep_until(self, moment: float) -> None:  # noqa: ARG002 - as a clock has it
        raise AssertionError("a transport does not sleep on it")


ROWS = [[0.25] * 7] * 4


def config() -> dict[str, Any]:
    details = json.loads((REPOSITORY / "src/reflex/embodiments/franka.json").read_text())
    return {"embodiment_details": details}


class Server:
    """Answers `/config` as a Reflex server, and `/act` with the answers in turn."""

    def __init__(self, *answers: Any, config: Any = None) -> None:
        self.answers = list(answers) or [chunk(ROWS)]
        self.config = globals()["config"]() if config is None else config
        self.network = MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> Any:
        if request.url.path == "/config":
            return self.config
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def transport(self, **settings: Any) -> ActTransport:
        asking = Asking(TargetConfig(**settings), "pick", clock=AtSeven(), episode_id="run-1")
        return ActTransport(asking, self.network)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(each.content) for each in self.network.requests if each.url.path == "/act"]


def test_an_answer_is_of_the_moment_when_its_observation_was_measured() -> None:
    server = Server(chunk(ROWS, model_version="pick@1", mode="dry_run"))
    transport = server.transport()
    transport.open()
    dated = transport.ask(3, observation(5.0), executed_steps=None)
    assert (dated.seq, dated.captured_s, dated.received_s, dated.step_s) == (3, 5.0, 7.0, 1 / 20)
    assert dated.actions.dtype == np.float32
    assert dated.actions.tolist() == ROWS
    assert (dated.answer["model_version"], dated.answer["mode"], "actions" in dated.answer) == (
        "pick@1",
        "dry_run",
        False,
    )


def test_what_is_sent_is_a_body_of_act_in_one_episode() -> None:
    server = Server()
    transport = server.transport(jpeg_quality=50)
    transport.open()
    transport.ask(0, observation(), executed_steps=None)
    transport.ask(1, observation(task="place"), executed_steps=4)
    first, second = server.bodies
    assert (first["instruction"], second["instruction"]) == ("pick", "place")
    assert first["state"] == [0.0] * 6
    assert base64.b64decode(first["images"]["image"]).startswith(b"\xff\xd8\xff")
    assert "executed_steps" not in first
    assert second["executed_steps"] == 4
    assert {first["episode_id"], second["episode_id"]} == {"run-1"}
    assert first["request_id"] != second["request_id"]


def test_another_server_gets_its_own_names_and_what_it_wants_besides() -> None:
    server = Server(config=service_error("not_found", "no such route"))
    asking = Asking(
        TargetConfig(state_field="joints", instruction_field="text", extra_payload={"arm": "left"}), control_hz=20
    )
    transport = ActTransport(asking, server.network)
    transport.open()
    dated = transport.ask(0, observation(), executed_steps=None)
    (body,) = server.bodies
    assert (body["joints"], body["text"], body["arm"], dated.step_s) == ([0.0] * 6, "", "left", 0.05)
    assert "state" not in body


def test_a_seed_is_of_the_first_chunk_and_one_more_with_each_further_one() -> None:
    server = Server()
    transport = server.transport(seed=40)
    transport.open()
    for seq in range(3):
        transport.ask(seq, observation(), executed_steps=None)
    assert [body["seed"] for body in server.bodies] == [40, 41, 42]
    unseeded = Server()
    plain = unseeded.transport()
    plain.open()
    plain.ask(0, observation(), executed_steps=None)
    assert "seed" not in unseeded.bodies[0]


def test_a_server_that_says_no_rate_needs_one_from_the_config() -> None:
    with pytest.raises(SetupError, match=r"set session\.control_period_s"):
        Server(config=service_error("not_found", "no such route")).transport().open()


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (service_error("queue_full", "busy", retry_after_s=60.0), UnavailableError, "queue_full: busy"),
        (service_error("session_expired", "over"), UnauthorizedError, "session_expired"),
        (service_error("state_dim_mismatch", "six"), InvalidRequestError, "state_dim_mismatch"),
        (TransportError("gone"), TransportError, "broke before the whole answer came"),
        (ClientTimeoutError("late"), ClientTimeoutError, "no answer to POST /act"),
        (chunk([[0.0, 1e39]]), TransportError, "no finite action chunk"),
        ({"actions": "none"}, TransportError, "no finite action chunk"),
    ],
)
def test_what_is_no_chunk_is_an_error_of_its_own_kind(answer: Any, error: type[Exception], said: str) -> None:
    transport = Server(answer).transport()
    transport.open()
    with pytest.raises(error, match=said):
        transport.ask(0, observation(), executed_steps=None)


def test_a_503_that_ends_in_time_is_waited_for() -> None:
    transport = Server(service_error("queue_full", "busy", retry_after_s=0.01), chunk(ROWS)).transport(timeout_s=30)
    transport.open()
    assert transport.ask(0, observation(), executed_steps=None).actions.shape == (4, 7)


def test_a_server_that_starts_is_waited_for_and_a_bad_key_is_said_at_once() -> None:
    answers: list[Mapping[str, Any] | Exception] = [TransportError("refused"), TransportError("refused"), config()]
    server = Server()
    server.network = MockTransport(lambda _request: answers.pop(0) if len(answers) > 1 else answers[0])  # type: ignore[arg-type, return-value]
    transport = server.transport(connect_timeout_s=60)
    transport.open()
    assert transport.control_hz == 20

    with pytest.raises(UnauthorizedError):
        Server(config=service_error("unauthorized", "no")).transport(connect_timeout_s=600).open()


def test_a_server_that_never_answers_is_a_timeout() -> None:
    with silent_server() as url:
        transport = ActTransport(Asking(TargetConfig(url=url, timeout_s=0.05), control_hz=30))
        with pytest.raises(ClientTimeoutError, match="within 50 ms"):
            transport.ask(0, observation(), executed_steps=None)
        transport.close()
        transport.close()


def test_an_answer_of_megabytes_is_not_even_read() -> None:
    transport = Server(chunk(ROWS, padding="0" * (1 << 20))).transport()
    transport.open()
    with pytest.raises(TransportError, match="is longer than"):
        transport.ask(0, observation(), executed_steps=None)
    transport.close()
