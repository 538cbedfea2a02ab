"""Every line has its number, through restarts, torn files and outages; what waits is bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from reflex.training.port import MAX_LINES_A_BEAT, MAX_METRICS_A_BEAT, Metric
from reflex_learning.training.journal import MOST_WAITING, Journal


def said(folder: Path, *lines: str, attempt: int = 1, next_line: int = 0) -> Journal:
    journal = Journal(folder, attempt, next_line)
    for line in lines:
        journal.say(line)
    return journal


def test_what_was_told_is_not_told_again(tmp_path: Path) -> None:
    journal = said(tmp_path, "a", "b")
    journal.measured(Metric(step=1))
    batch = journal.next_batch()
    journal.say("c")
    journal.told(batch)

    assert (batch.first_line, batch.lines, len(batch.metrics)) == (0, ("a", "b"), 1)
    assert (journal.next_batch().first_line, journal.next_batch().lines) == (2, ("c",))
    assert journal.next_batch().metrics == ()


def test_a_line_with_a_name_that_no_encoding_has_is_written_all_the_same(tmp_path: Path) -> None:
    assert said(tmp_path, "models/\udcff").since(0, 1) == ["models/\\udcff"]


@pytest.mark.slow
def test_a_restart_tells_what_the_queue_does_not_have_with_the_numbers_it_had(tmp_path: Path) -> None:
    said(tmp_path, "a", "b", "c")
    with (tmp_path / "log.txt").open("ab") as file:
        file.write(b"torn")
    journal = said(tmp_path, "d", attempt=2, next_line=2)

    assert journal.next_batch().first_line == 2
    assert journal.next_batch().lines == ("c", "torn", "d")
    assert journal.since(4, 10) == ["d"]
    again = said(tmp_path, "e", attempt=3, next_line=5)
    assert (again.next_batch().first_line, again.next_batch().lines) == (5, ("e",))
    assert again.since(0, 10) == ["a", "b", "c", "torn", "d", "e"]


def test_a_claim_that_is_answered_again_loses_nothing(tmp_path: Path) -> None:
    said(tmp_path, "a", attempt=2, next_line=7)
    journal = said(tmp_path, "b", attempt=2, next_line=7)

    assert (journal.next_batch().first_line, journal.next_batch().lines) == (7, ("a", "b"))


def test_on_another_machine_the_lines_follow_those_of_the_first(tmp_path: Path) -> None:
    assert said(tmp_path, "a", attempt=3, next_line=20).next_batch().first_line == 20


def test_what_another_machine_has_gone_on_from_is_not_told_after_it(tmp_path: Path) -> None:
    said(tmp_path, "a", "b", "never told")
    journal = said(tmp_path, "z", attempt=3, next_line=12)

    assert (journal.next_batch().first_line, journal.next_batch().lines) == (12, ("z",))


def test_where_the_place_was_torn_only_what_is_new_is_told(tmp_path: Path) -> None:
    said(tmp_path, "a", "b")
    (tmp_path / "log.place").write_bytes(b"[1,")
    journal = said(tmp_path, "c", attempt=2, next_line=1)

    assert (journal.next_batch().first_line, journal.next_batch().lines) == (1, ("c",))


def test_one_beat_tells_no_more_than_it_may(tmp_path: Path) -> None:
    journal = said(tmp_path, *(f"line {number}" for number in range(MAX_LINES_A_BEAT + 1)))
    for step in range(MAX_METRICS_A_BEAT + 1):
        journal.measured(Metric(step=step))
    batch = journal.next_batch()
    journal.told(batch)

    assert (len(batch.lines), len(batch.metrics)) == (MAX_LINES_A_BEAT, MAX_METRICS_A_BEAT)
    assert journal.next_batch().lines == (f"line {MAX_LINES_A_BEAT}",)
    assert [metric.step for metric in journal.next_batch().metrics] == [MAX_METRICS_A_BEAT]


def test_of_what_waits_for_too_long_the_newest_is_kept(tmp_path: Path) -> None:
    journal = said(tmp_path, *map(str, range(MOST_WAITING + 5)))

    assert journal.next_batch().first_line == 5
    assert journal.next_batch().lines[0] == "5"


def test_a_line_is_one_line(tmp_path: Path) -> None:
    assert said(tmp_path, "a\nb\r\nc").next_batch().lines == ("a b c",)
