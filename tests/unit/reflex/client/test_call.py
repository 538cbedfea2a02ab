"""The plan of one call, without any I/O: what is sent, waited for, sent again, and given up."""

from __future__ import annotations

import json

import pytest

from reflex.client.call import CONFIG_CALL, HEALTH_CALL, Answer, Call, CallPlan, Send, Sleep, read_health
from reflex.errors import (
    ClientTimeoutError,
    DeadlineExceededError,
    InferenceError,
    ServiceError,
    TransportError,
    UnavailableError,
)
from support.clock import Clock

STARTED_S = 100.0
ACT = Call("POST", "/act", body=b"{}", episode_id="e-1")
DONE = Answer(200, {}, b'{"actions": []}')
BROKEN = TransportError("the connection broke")


@pytest.fixture
def plan(clock: Clock) -> CallPlan:
    return CallPlan(ACT, started_s=STARTED_S, deadline_s=2.0, clock=clock)


def refusal(retry_after_s: float | None, *, code: str = "queue_full", status: int = 503) -> Answer:
    envelope = {"error": code, "message": "later"} | ({} if retry_after_s is None else {"retry_after_s": retry_after_s})
    return Answer(status, {}, json.dumps(envelope).encode())


def test_a_request_may_take_what_remains_of_the_deadline_and_tells_the_server_so(clock: Clock, plan: CallPlan) -> None:
    clock.now_s += 0.5

    assert plan.send_now() == Send(
        ACT,
        {"X-Reflex-Deadline-Ms": "1500", "Content-Type": "application/json", "X-Reflex-Episode": "e-1"},
        timeout_s=1.5,
    )


def test_nothing_is_sent_at_the_deadline(clock: Clock, plan: CallPlan) -> None:
    clock.now_s += 2.0

    with pytest.raises(
        ClientTimeoutError, match=r"no answer to POST /act within 2000 ms; a late one is dropped"
    ) as late:
        plan.send_now()
    assert "more time (deadline_s, or --deadline-ms of `reflex act`)" in str(late.value)


def test_a_request_is_still_sent_just_before_the_deadline(clock: Clock, plan: CallPlan) -> None:
    clock.now_s += 1.75

    assert plan.send_now().timeout_s == 0.25


def test_a_call_without_body_and_episode_has_neither_header(clock: Clock) -> None:
    plan = CallPlan(CONFIG_CALL, started_s=STARTED_S, deadline_s=1.0, clock=clock)

    assert plan.send_now().headers == {"X-Reflex-Deadline-Ms": "1000"}


def test_an_episode_beyond_ascii_travels_percent_encoded(clock: Clock) -> None:
    plan = CallPlan(Call("POST", "/act", episode_id="Łódź 1/2"), started_s=STARTED_S, deadline_s=1.0, clock=clock)

    assert plan.send_now().headers["X-Reflex-Episode"] == "%C5%81%C3%B3d%C5%BA 1/2"


@pytest.mark.parametrize(
    ("deadline_s", "header"),
    [(0.0005, "1"), (0.0015, "1"), (0.002, "2"), (9.999, "9999"), (10.0, "10000"), (60.0, "10000")],
)
def test_the_server_is_told_a_deadline_that_it_takes(deadline_s: float, header: str) -> None:
    plan = CallPlan(ACT, started_s=0.0, deadline_s=deadline_s, clock=lambda: 0.0)

    assert plan.send_now().headers["X-Reflex-Deadline-Ms"] == header
    assert plan.send_now().timeout_s == deadline_s


def test_an_answer_just_in_time_is_the_answer(clock: Clock, plan: CallPlan) -> None:
    clock.now_s += 1.75

    assert plan.on_answer(DONE) is DONE


def test_an_answer_at_the_deadline_is_dropped(clock: Clock, plan: CallPlan) -> None:
    clock.now_s += 2.0

    with pytest.raises(ClientTimeoutError, match="a late one is dropped"):
        plan.on_answer(DONE)


def test_a_refusal_is_waited_out_as_long_as_it_says(plan: CallPlan) -> None:
    assert plan.on_answer(refusal(0.25)) == Sleep(0.25)


def test_a_refusal_that_says_at_once_is_still_a_pause(plan: CallPlan) -> None:
    assert plan.on_answer(refusal(0)) == Sleep(0.01)


def test_a_wait_that_ends_before_the_deadline_is_waited_and_one_that_ends_at_it_is_not(
    clock: Clock, plan: CallPlan
) -> None:
    clock.now_s += 1.5

    assert plan.on_answer(refusal(0.49)) == Sleep(0.49)
    with pytest.raises(UnavailableError) as refused:
        plan.on_answer(refusal(0.5))
    assert refused.value.code == "queue_full"


def test_who_can_ask_another_server_waits_refusals_out_no_longer_than_his_patience_in_all(clock: Clock) -> None:
    plan = CallPlan(ACT, started_s=STARTED_S, deadline_s=2.0, clock=clock, patience_s=0.3)
    clock.now_s += 1.0
    assert plan.on_answer(refusal(0.2)) == Sleep(0.2)
    clock.now_s += 0.2
    assert plan.on_answer(refusal(0.05)) == Sleep(0.05)
    clock.now_s += 0.05
    with pytest.raises(UnavailableError):
        plan.on_answer(refusal(0.06))

    at_once = CallPlan(ACT, started_s=STARTED_S, deadline_s=10.0, clock=clock, patience_s=0.3)
    with pytest.raises(UnavailableError) as refused:
        at_once.on_answer(refusal(1.0))
    assert refused.value.retry_after_s == 1.0


def test_a_refusal_without_a_time_is_raised(plan: CallPlan) -> None:
    with pytest.raises(UnavailableError):
        plan.on_answer(refusal(None))


def test_an_error_that_no_retry_helps_is_raised_though_it_names_a_time(plan: CallPlan) -> None:
    with pytest.raises(InferenceError):
        plan.on_answer(refusal(0.1, code="inference_failed", status=500))


def test_a_call_that_ends_in_a_wait_says_what_the_server_said_last(clock: Clock, plan: CallPlan) -> None:
    plan.on_answer(refusal(0.25))
    clock.now_s += 3.0

    with pytest.raises(ClientTimeoutError) as late:
        plan.send_now()
    assert isinstance(late.value.__cause__, UnavailableError)
    assert late.value.__cause__.retry_after_s == 0.25


def test_the_servers_own_deadline_error_is_raised_as_it_is(plan: CallPlan) -> None:
    with pytest.raises(DeadlineExceededError):
        plan.on_answer(refusal(None, code="deadline_exceeded", status=504))


def test_a_broken_connection_is_tried_once_more_with_what_remains(clock: Clock, plan: CallPlan) -> None:
    clock.now_s += 1.5

    again = plan.on_broken(BROKEN)

    assert (again.call, again.timeout_s) == (ACT, 0.5)
    with pytest.raises(TransportError) as raised:
        plan.on_broken(BROKEN)
    assert raised.value is BROKEN


def test_a_connection_that_breaks_at_the_deadline_is_not_tried_again(clock: Clock, plan: CallPlan) -> None:
    clock.now_s += 2.0

    with pytest.raises(TransportError) as raised:
        plan.on_broken(BROKEN)
    assert raised.value is BROKEN


def test_a_refusal_does_not_use_up_the_retry_of_a_broken_connection(plan: CallPlan) -> None:
    plan.on_answer(refusal(0.25))

    assert plan.on_broken(BROKEN).call is ACT


def test_a_timeout_is_not_tried_again_and_names_the_calls_own_deadline(plan: CallPlan) -> None:
    cause = ClientTimeoutError("read timed out")

    with pytest.raises(ClientTimeoutError, match="within 2000 ms") as late:
        plan.on_broken(cause)
    assert late.value.__cause__ is cause


def test_health_is_answered_by_200_and_503_and_config_by_200_alone(clock: Clock) -> None:
    report = Answer(503, {}, b'{"status": "warming"}')
    health, config = (
        CallPlan(call, started_s=STARTED_S, deadline_s=1.0, clock=clock) for call in (HEALTH_CALL, CONFIG_CALL)
    )

    assert health.on_answer(report) is report
    assert health.on_answer(Answer(200, {}, b"{}")).__class__ is Answer
    assert config.on_answer(Answer(200, {}, b"{}")).__class__ is Answer
    with pytest.raises(ServiceError):
        config.on_answer(report)


def test_a_report_is_read_whatever_its_status_and_anything_else_is_the_error_that_it_is() -> None:
    assert read_health(Answer(503, {}, b'{"status": "warming"}')) == {"status": "warming"}
    with pytest.raises(ServiceError) as proxy:
        read_health(Answer(502, {}, b"<html>"))
    assert (proxy.value.code, proxy.value.status) == ("http_502", 502)


def test_a_call_that_must_not_be_sent_twice_is_not(clock: Clock) -> None:
    once = CallPlan(Call("POST", "/once", repeats=False), started_s=STARTED_S, deadline_s=2.0, clock=clock)

    with pytest.raises(TransportError) as raised:
        once.on_broken(BROKEN)
    assert raised.value is BROKEN
    assert once.on_answer(refusal(0.25)) == Sleep(0.25)


def test_a_call_brings_its_own_headers_and_may_keep_its_deadline_to_itself(clock: Clock) -> None:
    call = Call("POST", "/x", body=b"{}", headers={"Idempotency-Key": "k"}, tells_deadline=False)
    plan = CallPlan(call, started_s=STARTED_S, deadline_s=2.0, clock=clock)

    assert plan.send_now().headers == {"Idempotency-Key": "k", "Content-Type": "application/json"}
