"""What goes wrong behind the request: a model that fails, is slow, is overrun, is starting or stopping."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from reflex_bench.nonce_policy import Fault, set_behaviour, write_nonce_policy
from support.bodies import valid_body
from support.hostile import Connection, RawAnswer, connection, exchange, is_envelope, post_request
from support.hostile_served import Served, served
from support.nonce import act_body
from support.nonce_server import one_process_each
from support.promise import Promise
from support.waiting import wait_until

GRACE_S = 0.05
"""How long after its deadline an error may come."""
TIMER_S = 0.001
"""The event loop counts in whole milliseconds: a timer may fire by one early."""
NOISE_S = 0.25
"""What even a quiet machine may add to one answer among several."""
BREAKER_FAILURES = 5
MOST_CANARIES = 5
"""One that is under way, of the fault before, may meet the next one before a request does: then that is tried again."""


@pytest.fixture
def stoppable(tmp_path: Path) -> Iterator[Served]:
    """A server of its own, not yet ready; its model can be slowed."""
    write_nonce_policy(tmp_path / "models", control_file=tmp_path / "control.json")
    one_process_each(tmp_path / "models")
    options = ("--model-repository", str(tmp_path / "models"))
    with served(*options, control_file=tmp_path / "control.json", ready=False) as server:
        yield server


def raw(answer: httpx.Response) -> RawAnswer:
    return RawAnswer(
        answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.content
    )


def impatient_request() -> bytes:
    """Without a deadline of its own."""
    return act_request().replace(b"x-reflex-deadline-ms", b"x-nothing")


def act_request(**headers: str) -> bytes:
    return post_request(act_body(1.0), {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("error", "inference_failed"),
        ("wrong_shape", "inference_failed"),
        ("nan", "non_finite_action"),
        ("inf", "non_finite_action"),
    ],
)
def test_a_model_that_fails_on_a_request_is_500_with_its_code(nonce: Served, fault: Fault, code: str) -> None:
    for _ in range(MOST_CANARIES):
        with nonce.behaving(fault=fault):
            answer = nonce.act(valid_body(request_id="mine"))
            if code == "non_finite_action":  # else the canary that looks into it may be refuted after the model is well
                wait_until(lambda: nonce.client.get("/health").status_code == 503, "the canary has looked into it")
        if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
            break
    assert (answer.status_code, answer.json()["error"]) == (500, code)
    assert is_envelope(raw(answer), request_id="mine")
    assert "actions" not in answer.json()


def test_an_error_is_not_kept_for_a_resent_request(nonce: Served) -> None:
    body = valid_body(episode_id="e-failed", request_id="r-1")
    with nonce.behaving(fault="error"):
        assert nonce.act(body).status_code == 500
    assert nonce.act(body).status_code == 200


def test_the_breaker_opens_after_consecutive_failures_and_closes_by_itself(nonce: Served) -> None:
    with nonce.behaving(fault="error"):
        codes = [nonce.act().json()["error"] for _ in range(BREAKER_FAILURES + 1)]
        refused, health = nonce.act(), nonce.client.get("/health")
    assert codes[-1] == "circuit_open"
    assert (refused.status_code, refused.json()["error"]) == (503, "circuit_open")
    assert is_envelope(raw(refused))
    assert (health.status_code, health.json()["status"]) == (503, "degraded")
    assert health.json()["reason"]
    assert int(health.headers["retry-after"]) >= 1
    assert nonce.client.get("/health").json()["status"] == "ready"


def test_client_faults_never_open_the_breaker(nonce: Served) -> None:
    for _ in range(4 * BREAKER_FAILURES):
        assert nonce.act(valid_body(image_b64="AAAA")).status_code == 400
    assert nonce.act().status_code == 200
    assert nonce.client.get("/health").status_code == 200


def test_a_deadline_that_passes_in_the_model_is_504_within_50_ms(nonce: Served, promise: Promise) -> None:
    with nonce.behaving(delay_ms=600), connection(nonce.port) as one:
        answers = [_timed(one, act_request(x_reflex_deadline_ms="150")) for _ in range(5)]
    for answer, _ in answers:
        assert (answer.status, answer.code) == (504, "deadline_exceeded")
        assert is_envelope(answer)
    took_s = sorted(took for _, took in answers)
    assert took_s[0] >= 0.15 - TIMER_S
    promise("the best of five 504s comes at its deadline", took_s[0] - 0.15, at_most=GRACE_S)
    promise("the worst of five 504s comes at its deadline", took_s[-1] - 0.15, at_most=NOISE_S)


def test_without_a_header_the_deadline_is_one_second(nonce: Served, promise: Promise) -> None:
    with nonce.behaving(delay_ms=1500), connection(nonce.port) as one:
        answer, took_s = _timed(one, impatient_request())
    assert (answer.status, answer.code) == (504, "deadline_exceeded")
    assert took_s >= 1.0 - TIMER_S
    promise("without a header a 504 comes at 1 s", took_s - 1.0, at_most=GRACE_S + NOISE_S)


def test_a_longer_deadline_waits_for_a_slow_model(nonce: Served) -> None:
    with nonce.behaving(delay_ms=1200), connection(nonce.port) as one:
        answer, took_s = _timed(one, act_request())
    assert answer.status == 200
    assert took_s >= 1.2


def test_the_deadline_also_bounds_a_body_that_comes_too_slowly(nonce: Served, promise: Promise) -> None:
    with connection(nonce.port) as one:
        started = time.monotonic()
        one.send(act_request(x_reflex_deadline_ms="300")[:-5])
        answer = one.read()
        took_s = time.monotonic() - started
    assert (answer.status, answer.code) == (504, "deadline_exceeded")
    assert is_envelope(answer)
    assert took_s >= 0.3 - TIMER_S
    promise("a body that comes too slowly is a 504 at its deadline", took_s - 0.3, at_most=GRACE_S + NOISE_S)


def test_more_than_the_queue_holds_is_503_queue_full_with_policy_and_limit(nonce: Served) -> None:
    with nonce.behaving(delay_ms=200), ThreadPoolExecutor(32) as clients:
        answers = list(clients.map(lambda _: exchange(nonce.port, act_request())[0], range(32)))
    codes = Counter(answer.code for answer in answers)
    assert codes["queue_full"] >= 1
    assert codes[None] >= 8
    assert set(codes) <= {None, "queue_full", "deadline_exceeded"}
    for refused in (answer for answer in answers if answer.code == "queue_full"):
        assert is_envelope(refused)
        assert (refused.json()["policy_id"], refused.json()["max_queue"]) == ("nonce", 1)


def test_while_starting_the_port_answers_first_and_act_is_503_warming_up(stoppable: Served) -> None:
    health, refused = _until_first_answer(stoppable)
    assert (health.status_code, health.json()["status"], health.json()["model_loaded"]) == (503, "warming", False)
    assert health.json()["reason"]
    assert int(health.headers["retry-after"]) >= 1
    assert (refused.status, refused.code) == (503, "warming_up")
    assert is_envelope(refused)
    stoppable.process.wait_ready()
    assert stoppable.client.get("/health").json()["status"] == "ready"


@pytest.mark.slow
def test_stopping_finishes_what_is_in_flight_and_refuses_the_rest_with_draining(stoppable: Served) -> None:
    stoppable.process.wait_ready()
    assert stoppable.control_file is not None
    set_behaviour(stoppable.control_file, delay_ms=1500)
    with connection(stoppable.port) as working:
        working.send(act_request())
        wait_until(lambda: stoppable.process.in_flight() == 1, "the request is in flight")
        stopping = threading.Thread(target=stoppable.process.stop, args=(signal.SIGTERM,))
        stopping.start()
        wait_until(lambda: "draining" in stoppable.process.log, "it drains")
        (refused,) = exchange(stoppable.port, act_request())
        finished = working.read()
    stopping.join()
    assert (refused.status, refused.code) == (503, "draining")
    assert is_envelope(refused)
    assert finished.status == 200
    assert stoppable.process.process.returncode == 0


def _timed(one: Connection, request: bytes) -> tuple[RawAnswer, float]:
    started = time.monotonic()
    one.send(request)
    answer = one.read()
    return answer, time.monotonic() - started


def _until_first_answer(server: Served) -> tuple[httpx.Response, RawAnswer]:
    """/health and /act, asked as soon as the port is open."""
    answers: list[tuple[httpx.Response, RawAnswer]] = []

    def is_open() -> bool:
        with contextlib.suppress(httpx.TransportError, ConnectionError):
            answers.append((server.client.get("/health"), exchange(server.port, act_request())[0]))
        return bool(answers)

    wait_until(is_open, "the port is open")
    return answers[0]
