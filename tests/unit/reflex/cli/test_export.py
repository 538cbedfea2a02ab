from __future__ import annotations

import sys
import types
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex.export_options import ExportOptions, ReadingOptions

GIVEN = {
    "--repository": "r", "--name": "cup", "--embodiment": "so101", "--precision": "fp16", "--engine": "tensorrt",
    "--max-batch": "4", "--vlm": "v", "--tokenizer": "t", "--stats": "s", "--revision": "main", "--base": "b",
    "--adapter": "merge", "--cases": "c", "--description": "d",
}  # fmt: skip
WHAT_THEY_MEAN = ExportOptions(
    Path("r"), "cup", "so101", "fp16", "tensorrt", (10, 4), 4, frozenset({"wrist", "base"}), Path("v"), Path("t"),
    Path("s"), "main", "b", "merge", Path("c"), "d", untrained=True, check=False, force=True, units_checked=True,
    replace=True, dry_run=True,
)  # fmt: skip
READ = frozenset(ReadingOptions.__annotations__)
NOT_OF_THE_COMMAND_LINE = {"engine_cache", "source"}


class Exporter(types.ModuleType):
    """Stands for what exports: keeps what it was told, and ends with 1."""

    def __init__(self) -> None:
        super().__init__("reflex_export.commands.export")
        self.told: list[tuple[str, ExportOptions, bool]] = []

    def export_command(self, source: str, options: ExportOptions, *, as_json: bool) -> int:
        self.told.append((source, options, as_json))
        return 1


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Exporter:
    module = Exporter()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_without_options_the_export_gets_the_defaults(exporter: Exporter) -> None:
    result = CliRunner().invoke(app, ["export", "lerobot/act"])

    assert result.exit_code == 1, "the export's own code"
    assert exporter.told == [("lerobot/act", ExportOptions(), False)]


def test_every_option_reaches_the_export_and_what_is_repeated_counts_once(exporter: Exporter) -> None:
    repeated = ["--steps", "10", "--steps", "4", "--steps", "10", "--optional-camera", "wrist"]
    flags = ["--optional-camera", "base", "--untrained", "--no-check", "--force", "--units-checked", "--replace"]
    flags += ["--dry-run", "--json"]
    pairs = [word for pair in GIVEN.items() for word in pair]

    CliRunner().invoke(app, ["export", "folder", *pairs, *repeated, *flags])

    assert exporter.told == [("folder", WHAT_THEY_MEAN, True)]


def test_the_test_before_gives_every_option_there_is() -> None:
    same = {
        field.name
        for field in fields(ExportOptions)
        if getattr(WHAT_THEY_MEAN, field.name) == getattr(ExportOptions(), field.name)
    }

    assert same == NOT_OF_THE_COMMAND_LINE


def test_the_options_of_reading_are_those_of_an_export() -> None:
    of_export = get_type_hints(ExportOptions)
    assert {name: of_export[name] for name in ReadingOptions.__annotations__} == get_type_hints(ReadingOptions)
    assert WHAT_THEY_MEAN.reading == {name: getattr(WHAT_THEY_MEAN, name) for name in get_type_hints(ReadingOptions)}


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_they_reach_inspect_and_verify(command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[dict[str, object]] = []

    def called(*_: object, **given: object) -> int:
        told.append(given)
        return 0

    module = types.ModuleType(f"reflex_export.commands.{command}")
    monkeypatch.setattr(module, f"{command}_command", called, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    pairs = [word for name, value in GIVEN.items() if name.removeprefix("--") in READ for word in (name, value)]

    result = CliRunner().invoke(app, [command, str(tmp_path), *pairs, "--json"])

    assert (result.exit_code, len(told)) == (0, 1), result.output
    assert WHAT_THEY_MEAN.reading.items() <= told[0].items()
    assert told[0]["as_json"] is True
