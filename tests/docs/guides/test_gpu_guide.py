"""What docs/gpu.md says in figures is what its commands print, and its commands are there."""

from __future__ import annotations

import re
import shlex
from typing import Final

import pytest

from docs.documents import REPOSITORY, blocks_of
from reflex_bench.gpu_check import __main__ as check
from reflex_bench.gpu_check.bounds import KNOWN_CARDS, SIZES, lower_bound
from reflex_bench.gpu_check.packing import __main__ as packing
from reflex_bench.gpu_check.plan import SHARES
from reflex_bench.gpu_check.sizing import H200, capacity
from reflex_bench.gpu_check.sizing import main as size

GUIDE: Final = REPOSITORY / "docs" / "gpu.md"
TEXT: Final = GUIDE.read_text(encoding="utf-8")
ASKED: Final = ((1, 500), (2, 500), (5, 200), (10, 100))
NAMES: Final = {"pi0": "pi0", "SmolVLA": "smolvla"}


def commands(program: str) -> list[list[str]]:
    lines = [line for block in blocks_of(GUIDE) if block.language == "bash" for line in block.code.splitlines()]
    return [shlex.split(line)[3:] for line in lines if line.startswith(f"python -m {program}")]


def test_the_sizing_commands_print_what_stands_below_them(capsys: pytest.CaptureFixture[str]) -> None:
    given = commands("reflex_bench.gpu_check.sizing")
    printed = [block.code for block in blocks_of(GUIDE) if block.language == "text"]

    assert [size(words) for words in given] == [0, 0]
    assert capsys.readouterr().out == printed[0]


@pytest.mark.parametrize(("family", "cameras"), H200)
def test_the_table_of_robots_is_what_the_formula_gives(family: str, cameras: int) -> None:
    robots = [capacity(H200[family, cameras], hz=hz, deadline_ms=deadline_ms).robots for hz, deadline_ms in ASKED]

    assert f"| {family} | {cameras} | {' | '.join(map(str, robots))} |" in TEXT


def test_the_table_of_bounds_is_what_the_formula_gives() -> None:
    rows = re.findall(r"^\| (pi0|SmolVLA)(?:, prompt of 20 tokens)?, (H\d00|RTX 4090) \|(.*)\|$", TEXT, re.MULTILINE)

    assert len(rows) == 5
    for name, card, cells in rows:
        sizes, prompt = SIZES[NAMES[name]], 20 if name == "pi0" else None
        found = [
            lower_bound(sizes, KNOWN_CARDS[card], cameras=cameras, prompt=prompt).together_ms for cameras in (1, 2, 3)
        ]
        assert [f"{ms:.1f}" for ms in found] == [cell.strip() for cell in cells.split("|")], (name, card)


def test_the_shares_of_the_stages_are_the_real_ones() -> None:
    told = re.findall(r"^\| (\w+) \|.*\| (\d+) % \|$", TEXT, re.MULTILINE)

    assert {name: int(share) / 100 for name, share in told} == SHARES


def test_every_option_that_it_names_is_one_of_the_programs(capsys: pytest.CaptureFixture[str]) -> None:
    known = ""
    for program in (check.main, packing.main):
        with pytest.raises(SystemExit):
            program(["--help"])
        known += capsys.readouterr().out

    told = " ".join(re.findall(r"ARGS='?([^'`\n]*)'?", TEXT))
    assert [option for option in re.findall(r"--[\w-]+", told) if option not in known] == []
    assert len(re.findall(r"--[\w-]+", told)) > 5
