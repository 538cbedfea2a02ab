"""Bars where somebody watches, nothing anywhere else."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from reflex.export_options import ExportOptions
from reflex_export.commands.progress_bars import shown_progress
from reflex_export.exporting.pipeline import export_checkpoint
from reflex_export.progress import Stage
from support.checkpoints.golden import golden_checkpoint, golden_folder

STAGES = (
    Stage("reading the checkpoint"),
    Stage("writing the models", 30e6, 60e6, "bytes"),
    Stage("checking arm", 3, 4, "cases"),
    Stage("building the engine of arm_encoder", detail="Building engine 50%"),
)


def shown(*, is_terminal: bool) -> str:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=is_terminal, width=120)
    with shown_progress(console) as progress:
        for stage in STAGES:
            progress(stage)
            if is_terminal:
                # The bars are drawn a few times a second; here once for each stage.
                progress.__self__._bars.refresh()  # type: ignore[attr-defined]
    return screen.getvalue()


def test_a_terminal_shows_each_stage_with_its_amount_and_its_time() -> None:
    text = shown(is_terminal=True)

    assert all(stage.name in text for stage in STAGES)
    assert "30 of 60 MB" in text
    assert "3 of 4 cases" in text
    assert "Building engine 50%" in text
    assert "0:00:00" in text


def test_whoever_reads_a_file_or_a_pipe_gets_no_bars(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(is_terminal=False) == ""

    with shown_progress() as progress:
        progress(STAGES[0])
    assert capsys.readouterr() == ("", "")


def test_what_is_printed_on_stdout_beside_bars_stays_there(capsys: pytest.CaptureFixture[str]) -> None:
    screen = io.StringIO()
    with shown_progress(Console(file=screen, force_terminal=True)):
        print('{"published": true}')

    assert capsys.readouterr().out == '{"published": true}\n'
    assert "published" not in screen.getvalue()


@pytest.mark.slow
def test_an_export_reports_every_stage_and_each_byte_and_case_that_it_is_through(tmp_path: Path) -> None:
    stages: list[Stage] = []
    options = ExportOptions(tmp_path, "arm", embodiment="so101", steps=(4, 2), cases=golden_folder("smolvla"))

    export_checkpoint(golden_checkpoint("smolvla"), options, stages.append)

    names = list(dict.fromkeys(stage.name for stage in stages))
    assert names == ["building the graphs", "writing the models", "checking arm", "checking arm-2steps", "publishing"]
    written = [stage for stage in stages if stage.name == "writing the models"]
    files = [path.stat().st_size for path in tmp_path.glob("*/1/model.onnx*")]
    assert written[-1].done == written[-1].total == sum(files)
    assert [stage.done for stage in written] == sorted(stage.done for stage in written)
    counted = [stage for stage in stages if stage.unit == "cases" and stage.name == "checking arm"]
    assert {stage.total for stage in counted} == {len(list(golden_folder("smolvla").glob("case_*.npz")))}
