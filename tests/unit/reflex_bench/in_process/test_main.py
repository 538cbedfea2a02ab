from __future__ import annotations

import json
from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex_bench.in_process import __main__ as program
from reflex_bench.in_process.measuring import Found, Measuring
from reflex_runner.evaluation.intervals import Pairs

EQUAL = Found("jpeg", Pairs(188, 1, 0, 11), 170)
FEW = Found("raw", Pairs(9, 0, 1, 0), 9)
ASKED = ("--lerobot", "lerobot", "--checkpoint", "checkpoint")


def measured(monkeypatch: pytest.MonkeyPatch, *found: Found) -> list[Measuring]:
    asked: list[Measuring] = []

    def measure(self: Measuring) -> list[Found]:
        asked.append(self)
        return list(found)

    monkeypatch.setattr(Measuring, "measure", measure)
    return asked


def test_it_prints_a_row_for_each_kind_of_pictures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = measured(monkeypatch, EQUAL)
    assert program.main([*ASKED, "--seeds", "400", "--first", "20000", "--folder", "played"]) == 0
    *_, row = capsys.readouterr().out.splitlines()
    assert row == "| jpeg | 189 of 200 | 188 of 200 | -0.5 % | -2.7 to +1.6 % | 1 | 0 | 170 |"
    assert (asked[0].seeds, asked[0].folder) == (range(20_000, 20_400), Path("played"))
    assert (asked[0].policy, asked[0].picture_px) == ("pick_up_the_cube", 64)


def test_what_is_not_shown_to_be_equal_ends_with_one_and_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured(monkeypatch, EQUAL, FEW)
    assert program.main([*ASKED, "--json"]) == 1
    told = capsys.readouterr()
    assert "not shown to be equal within 3.0 %: raw; more --seeds" in told.err
    assert [(each["pictures"], each["equal"]) for each in json.loads(told.out)] == [("jpeg", True), ("raw", False)]


@pytest.mark.parametrize(
    ("error", "code", "words"), [(SetupError("no x"), 1, "no x"), (KeyboardInterrupt(), 130, "goes on")]
)
def test_what_stops_it_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, words: str
) -> None:
    def stop(_: Measuring) -> None:
        raise error

    monkeypatch.setattr(Measuring, "measure", stop)
    assert program.main(list(ASKED)) == code
    assert words in capsys.readouterr().err


def test_options_are_told_and_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main([*ASKED, "--seeds", "0"])
    assert "0 is less than 1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        program.main(["--help"])
    assert "example: make served-equals-in-process" in capsys.readouterr().out
