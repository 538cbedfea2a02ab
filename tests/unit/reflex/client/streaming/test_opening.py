"""How long an opening is tried, and when it is given up."""

from __future__ import annotations

import logging

import pytest

from reflex.client.streaming.errors import StreamKeyError, StreamRateError, StreamUrlError
from reflex.client.streaming.opening import OpenPlan, Stages, is_tried_again
from reflex.errors import ReflexError, ServiceError, SetupError, TransportError, service_error
from support.clock import Clock

URL = "ws://robot-server:8000/act/stream"
REFUSED = TransportError("connection refused")


def refusal(status: int, **given: float) -> ServiceError:
    return service_error(f"http_{status}", "no", status=status, retry_after_s=given.get("retry_after_s"))


def plan(clock: Clock, retry_s: float = 90.0) -> OpenPlan:
    return OpenPlan(URL, retry_s, clock=clock, draw=lambda: 1.0)


def attempts_until_given_up(opening: OpenPlan, clock: Clock) -> int:
    for attempts in range(1, 1000):
        try:
            clock.now_s += opening.on_refused(REFUSED)
        except TransportError:
            return attempts
    raise AssertionError("it never ends")


@pytest.mark.parametrize("status", [403, 404, 408, 425, 429, 500, 502, 503, 504])
def test_what_a_starting_server_answers_is_tried_again(status: int) -> None:
    assert is_tried_again(refusal(status))
    assert plan(Clock()).on_refused(refusal(status)) > 0


@pytest.mark.parametrize("status", [301, 400, 401, 405, 410, 413, 415, 422, 426])
def test_every_other_status_is_final_at_once(status: int) -> None:
    with pytest.raises(ServiceError) as raised:
        plan(Clock()).on_refused(refusal(status))
    assert raised.value.status == status


def test_a_refused_connection_is_tried_again_and_another_server_is_not() -> None:
    assert is_tried_again(REFUSED)
    assert not is_tried_again(SetupError("another model"))


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, StreamKeyError), (403, StreamKeyError), (404, StreamUrlError), (429, StreamRateError)],
)
def test_what_it_was_given_up_for_has_its_own_type(status: int, kind: type[ReflexError]) -> None:
    with pytest.raises(kind) as raised:
        plan(Clock(), retry_s=0.0).on_refused(refusal(status))
    assert type(raised.value) is kind


def test_attempts_end_with_the_time_that_was_given() -> None:
    clock = Clock()
    opening, started = plan(clock, retry_s=90.0), clock()
    attempts = attempts_until_given_up(opening, clock)

    assert 80.0 < clock() - started <= 90.0
    assert attempts < 40


def test_pauses_grow_and_half_of_each_is_drawn() -> None:
    clock = Clock()
    least, most = (OpenPlan(URL, 90.0, clock=clock, draw=lambda: 0.0), plan(clock))
    pauses = [(least.on_refused(REFUSED), most.on_refused(REFUSED)) for _ in range(8)]

    assert [pause for _, pause in pauses] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert all(low * 2 == high for low, high in pauses)


def test_a_server_that_says_when_to_come_back_is_heard_within_reason() -> None:
    assert plan(Clock()).on_refused(refusal(503, retry_after_s=2.0)) == 2.0
    assert plan(Clock()).on_refused(refusal(503, retry_after_s=3600.0)) == 5.0


def test_the_first_refusal_is_logged_at_once_with_its_status(caplog: pytest.LogCaptureFixture) -> None:
    opening = plan(Clock())
    with caplog.at_level(logging.WARNING, "reflex.client.streaming"):
        opening.on_refused(refusal(403))
        opening.on_refused(refusal(403))

    assert [record.getMessage() for record in caplog.records] == [f"{URL} refused: 403 http_403: no"]


def test_an_attempt_never_outlasts_the_bound_but_the_first() -> None:
    clock = Clock()
    opening = plan(clock, retry_s=3.0)
    assert opening.attempt_s() == 10.0
    opening.on_refused(REFUSED)
    clock.now_s += 2.0
    assert opening.attempt_s() == pytest.approx(1.0)


def test_stages_are_milliseconds_each_from_the_end_of_the_one_before() -> None:
    clock = Clock()
    stages = Stages(clock)
    clock.now_s += 0.001
    stages.end("dns_ms")
    clock.now_s += 0.25
    stages.end("tcp_ms")

    assert stages.timing == {"dns_ms": 1.0, "tcp_ms": 250.0}
