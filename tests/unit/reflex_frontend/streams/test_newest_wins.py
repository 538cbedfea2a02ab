"""One runs, the newest waits: whatever comes in whatever order, each observation leaves once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reflex_frontend.streams.newest_wins import NewestWins, Pending

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.floats(0.1, 3.0)),
        st.tuples(st.sampled_from(["begin", "done", "late"]), st.just(0.0)),
        st.tuples(st.just("advance"), st.floats(0.0, 2.0)),
    ),
    max_size=60,
)


def pending(seq: int, deadline: float = 1.0) -> Pending[None]:
    return Pending(seq, deadline, None)


def test_the_newest_waits_and_the_one_before_it_is_superseded() -> None:
    queue: NewestWins[None] = NewestWins()
    assert queue.offer(pending(1)) is None
    assert queue.begin() == pending(1)
    assert queue.begin() is None
    assert queue.offer(pending(2)) is None
    assert queue.offer(pending(3)) == pending(2)
    queue.done()

    assert queue.begin() == pending(3)
    assert queue.last_seq == 3


def test_what_waits_is_late_at_its_deadline_and_what_runs_is_not() -> None:
    queue: NewestWins[None] = NewestWins()
    queue.offer(pending(1))
    queue.begin()
    assert queue.late(1.0) is None
    queue.offer(pending(2))
    assert queue.late(0.999) is None

    assert queue.late(1.0) == pending(2)
    assert queue.late(1.0) is None


@pytest.mark.slow
@given(STEPS)
def test_every_observation_leaves_once_and_the_newest_is_begun(steps: list[tuple[str, float]]) -> None:
    queue: NewestWins[None] = NewestWins()
    now, offered, left = 0.0, 0, 0
    for step, number in steps:
        if step == "offer":
            offered += 1
            left += queue.offer(pending(offered, now + number)) is not None
        elif step == "begin":
            begun = queue.begin()
            assert begun is None or begun.seq == offered
        elif step == "done":
            left += queue.running is not None
            queue.done()
        elif step == "late":
            left += queue.late(now) is not None
        else:
            now += number
    assert offered == left + queue.leave()
    assert queue.is_idle
