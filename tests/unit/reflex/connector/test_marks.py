from __future__ import annotations

import reflex
from reflex.connector.marks import EpisodeMarks


class Recorder:
    def __init__(self) -> None:
        self.told: list[object] = []

    def begin_episode(self, instruction: str | None = None) -> None:
        self.told.append(instruction)

    def end_episode(self, *, success: bool | None = None) -> None:
        self.told.append(success)


def test_an_episode_has_its_instruction_and_its_success() -> None:
    marks, recorder = reflex.EpisodeMarks(), Recorder()
    with marks.told_to(recorder):
        marks.begin("pick")
        assert (marks.is_open, marks.instruction) == (True, "pick")
        assert marks.end(success=True)
        assert (marks.is_open, marks.instruction) == (False, None)
        marks.begin()
        marks.end(success=False)
    assert recorder.told == ["pick", True, None, False]
    assert (marks.successes, marks.failures, marks.others) == (1, 1, 0)


def test_what_is_not_open_cannot_end_and_what_is_open_ends_when_another_begins() -> None:
    marks, recorder = EpisodeMarks(), Recorder()
    with marks.told_to(recorder):
        assert not marks.end(success=True)
        marks.begin("one")
        marks.begin("two")
    assert recorder.told == ["one", "two", None]
    assert (marks.successes, marks.failures, marks.others) == (0, 0, 2)


def test_one_that_was_begun_before_the_run_begins_with_it_and_none_outlives_it() -> None:
    marks, recorder = EpisodeMarks(), Recorder()
    marks.begin("early")
    with marks.told_to(recorder):
        assert recorder.told == ["early"]
    assert recorder.told == ["early", None]
    assert not marks.is_open
    marks.begin("late")
    assert recorder.told == ["early", None], "after the run nobody is told"
