"""What is kept of episodes is bounded in number, bytes and time, and belongs to one of them alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reflex_frontend.motion.leftovers import KEPT_S, EpisodeKey, LeftOver, LeftOvers


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def left(received_at: float = 100.0, steps: int = 4, policy: str = "p") -> LeftOver:
    return LeftOver(policy, np.full((steps, 7), received_at, np.float32), (0.0,) * 6, received_at)


def test_an_episode_is_known_by_its_id_and_its_session_together() -> None:
    kept, mine, others = LeftOvers(Clock()), left(), left()
    kept.keep(("e", "s"), mine)
    kept.keep(("e", None), others)

    assert kept.find(("e", "s")) is mine
    assert kept.find(("e", None)) is others
    assert kept.find(("e", "t")) is kept.find(("f", "s")) is None


def test_of_two_answers_that_overlap_the_later_observation_counts_whichever_comes_last() -> None:
    earlier, later = left(100.0), left(100.1)
    for order in ([earlier, later], [later, earlier]):
        kept = LeftOvers(Clock())
        for one in order:
            kept.keep(("e", None), one)
        assert kept.find(("e", None)) is later
        assert kept.kept_bytes == later.size_bytes


def test_what_has_expired_is_known_to_have_for_a_while_and_then_forgotten() -> None:
    clock = Clock()
    kept, old = LeftOvers(clock), left()
    kept.keep(("old", None), old)
    assert not kept.is_expired(old)
    clock.seconds += KEPT_S + 0.1
    kept.keep(("new", None), left(clock.seconds))
    assert kept.find(("old", None)) is old
    assert kept.is_expired(old)
    clock.seconds += KEPT_S
    kept.keep(("newer", None), left(clock.seconds))
    assert kept.find(("old", None)) is None


def test_the_episode_that_asked_least_lately_makes_room_when_there_are_too_many() -> None:
    kept = LeftOvers(Clock(), max_episodes=3)
    for name in ("a", "b", "c", "a", "d"):
        kept.keep((name, None), left())
    assert [name for name in "abcd" if kept.find((name, None)) is not None] == ["a", "c", "d"]


Answers = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 60), st.floats(0, 20)), max_size=60)


@given(Answers)
def test_never_more_than_so_many_episodes_and_bytes_and_the_latest_is_always_there(
    answers: list[tuple[str, int, float]],
) -> None:
    clock = Clock()
    kept = LeftOvers(clock, max_episodes=5, max_bytes=8_000)
    held: dict[EpisodeKey, LeftOver] = {}
    for name, steps, pause_s in answers:
        clock.seconds += pause_s
        one = left(clock.seconds, steps)
        kept.keep((name, None), one)
        held[name, None] = one
        found = {key: kept.find(key) for key in held}
        there = [value for value in found.values() if value is not None]
        assert kept.find((name, None)) is one
        assert len(there) == len(kept) <= 5
        assert kept.kept_bytes == sum(value.size_bytes for value in there) <= 8_000
        assert all(value is None or value is held[key] for key, value in found.items())
