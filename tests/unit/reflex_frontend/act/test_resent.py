"""What is answered again, to whom, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from reflex.errors import InferenceError
from reflex_frontend.act.resent import KEPT_ANSWERS, KEPT_S, ResentAnswers, digest_of
from support.clock import Clock
from support.fakes import run_virtual

Now = Callable[[], float]
KEY = ("episode", "request", b"1")


def test_an_answer_is_found_by_episode_request_and_body() -> None:
    async def main(now: Now) -> None:
        kept = ResentAnswers[bytes](now)
        kept.begin(KEY).set_result(b"answer")
        found = kept.find(KEY)
        assert found is not None
        assert found.result() == b"answer"
        for other in (("other", "request", b"1"), ("episode", "other", b"1"), ("episode", "request", b"2")):
            assert kept.find(other) is None

    run_virtual(main)


def test_a_digest_is_that_of_body_and_instruction_whichever_way_the_body_came() -> None:
    digest = digest_of("{}", "pick")
    assert len(digest) == 16
    assert digest == digest_of(b"{}", "pick")
    assert len({digest, digest_of("{} ", "pick"), digest_of("{}", "place"), digest_of("k{}", "pic")}) == 4


def test_an_answer_still_being_made_is_found() -> None:
    async def main(now: Now) -> None:
        kept = ResentAnswers[bytes](now)
        slot = kept.begin(KEY)
        assert kept.find(KEY) is slot

    run_virtual(main)


def test_an_error_is_forgotten_so_that_a_retry_tries_again() -> None:
    async def main(now: Now) -> None:
        kept = ResentAnswers[bytes](now)
        kept.begin(KEY).set_exception(InferenceError("inference_failed", "no"))
        await asyncio.sleep(0)
        assert kept.find(KEY) is None
        assert not kept._answers, "what is not answered again takes no place of what is"

    run_virtual(main)


def test_a_failure_drops_no_answer_that_was_begun_after_it() -> None:
    async def main(now: Now) -> None:
        kept = ResentAnswers[bytes](now)
        kept.begin(KEY).set_exception(InferenceError("inference_failed", "no"))
        second = kept.begin(KEY)
        await asyncio.sleep(0)
        assert kept.find(KEY) is second

    run_virtual(main)


def test_a_failure_of_what_was_pushed_out_disturbs_nobody() -> None:
    async def main(now: Now) -> None:
        kept, heard = ResentAnswers[bytes](now), list[object]()
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: heard.append(context))
        first = kept.begin(KEY)
        for number in range(KEPT_ANSWERS):
            kept.begin(("episode", str(number), b"1"))
        first.set_exception(InferenceError("inference_failed", "no"))
        await asyncio.sleep(0)
        assert heard == []
        assert kept.find(KEY) is None

    run_virtual(main)


def test_whoever_asks_in_the_moment_of_a_failure_finds_nothing() -> None:
    async def main(now: Now) -> None:
        kept = ResentAnswers[bytes](now)
        kept.begin(KEY).set_exception(InferenceError("inference_failed", "no"))
        assert kept.find(KEY) is None
        kept.begin(KEY).cancel()
        assert kept.find(KEY) is None

    run_virtual(main)


def test_an_abandoned_request_is_forgotten() -> None:
    async def main(now: Now) -> None:
        kept = ResentAnswers[bytes](now)
        kept.begin(KEY).cancel()
        await asyncio.sleep(0)
        assert kept.find(KEY) is None

    run_virtual(main)


def test_a_late_failure_does_not_forget_the_answer_of_its_successor() -> None:
    async def main(now: Now) -> None:
        kept = ResentAnswers[bytes](now)
        first = kept.begin(KEY)
        second = kept.begin(KEY)
        first.set_exception(InferenceError("inference_failed", "no"))
        second.set_result(b"answer")
        await asyncio.sleep(0)
        assert kept.find(KEY) is second

    run_virtual(main)


def test_an_answer_is_kept_for_its_time_and_no_longer() -> None:
    async def main(now: Now) -> None:
        kept = ResentAnswers[bytes](now)
        kept.begin(KEY).set_result(b"answer")
        await asyncio.sleep(KEPT_S - 0.1)
        assert kept.find(KEY) is not None
        await asyncio.sleep(0.2)
        assert kept.find(KEY) is None

    run_virtual(main)


@pytest.mark.parametrize(("pause_s", "most"), [(0.0, KEPT_ANSWERS), (1.0, int(KEPT_S) + 1)])
def test_the_number_kept_is_bounded_by_count_and_by_time(pause_s: float, most: int) -> None:
    async def main(now: Now) -> None:
        kept = ResentAnswers[bytes](now)
        keys = [("episode", str(number), b"0") for number in range(KEPT_ANSWERS + 50)]
        for key in keys:
            kept.begin(key).set_result(b"answer")
            await asyncio.sleep(pause_s)
        assert len(kept._answers) <= most
        if not pause_s:
            assert kept.find(keys[0]) is None
        assert kept.find(keys[-1]) is not None

    run_virtual(main)


def test_an_answer_is_found_for_half_a_minute_to_the_end_and_forgotten_after_it() -> None:
    async def main(_now: Now) -> None:
        clock = Clock(0.0)
        kept = ResentAnswers[bytes](clock)
        slot = kept.begin(KEY)
        clock.now_s = 30.0
        kept.begin(("episode", "later", b"1"))
        assert kept.find(KEY) is slot
        clock.now_s = 30.25
        assert kept.find(KEY) is None

    run_virtual(main)


def test_of_1025_answers_the_oldest_alone_is_forgotten() -> None:
    async def main(_now: Now) -> None:
        kept = ResentAnswers[bytes](Clock(0.0))
        keys = [("episode", str(number), b"0") for number in range(1_025)]
        for key in keys[:-1]:
            kept.begin(key)
        assert kept.find(keys[0]) is not None
        kept.begin(keys[-1])
        assert [kept.find(key) is not None for key in keys] == [False] + [True] * 1_024

    run_virtual(main)


def test_an_old_request_that_is_answered_anew_is_the_newest_and_forgotten_last() -> None:
    async def main(_now: Now) -> None:
        clock = Clock(0.0)
        kept = ResentAnswers[bytes](clock)
        kept.begin(KEY)
        clock.now_s = 20.0
        kept.begin(("episode", "second", b"1"))
        clock.now_s = 31.0
        kept.begin(KEY)
        for number in range(1_023):
            kept.begin(("episode", str(number), b"0"))
        assert kept.find(KEY) is not None
        assert kept.find(("episode", "second", b"1")) is None

    run_virtual(main)
