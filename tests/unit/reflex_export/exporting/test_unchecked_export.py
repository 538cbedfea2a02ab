"""`--no-check`: publishing graphs that this machine cannot run."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from reflex.errors import SetupError
from reflex.export_options import ExportOptions
from reflex.policy_config import read_policy_config
from reflex_export.checking.inspection import inspect_policy
from reflex_export.commands.export import export_command
from reflex_export.exporting import pipeline
from reflex_export.exporting.pipeline import export_checkpoint
from reflex_frontend.policy.policy import load_policy
from support.checkpoints.altered import with_options
from support.checkpoints.golden import golden_checkpoint, golden_folder


def options(repository: Path, *, check: bool) -> ExportOptions:
    return ExportOptions(repository, "arm", "so101", steps=(1,), check=check)


def no_graph_runs(*_models: object) -> None:
    raise AssertionError("a graph was run")


def test_an_unchecked_export_runs_no_graph_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "PolicyRunner", no_graph_runs)
    monkeypatch.setattr(pipeline, "available_bytes", lambda: 1)

    export_checkpoint(golden_checkpoint("smolvla"), options(tmp_path, check=False))

    config = read_policy_config(tmp_path / "arm")
    assert config.parity == {"verdict": "not checked"}
    assert config.canary is None
    assert not (tmp_path / "arm" / "canary.npz").exists()


def test_an_unchecked_policy_can_be_served(tmp_path: Path) -> None:
    export_checkpoint(golden_checkpoint("smolvla"), options(tmp_path, check=False))

    policy = load_policy(tmp_path, "arm")

    assert policy.canary is None
    assert policy.prompts is not None


def test_a_check_that_does_not_fit_into_memory_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "available_bytes", lambda: 1 << 20)

    with pytest.raises(SetupError, match="--no-check"):
        export_checkpoint(golden_checkpoint("smolvla"), options(tmp_path / "models", check=True))

    assert not (tmp_path / "models").exists()


def test_the_same_weights_have_the_same_hash_checked_or_not(tmp_path: Path) -> None:
    for name, check in (("one", True), ("two", False)):
        export_checkpoint(golden_checkpoint("smolvla"), options(tmp_path / name, check=check))

    checked, unchecked = (read_policy_config(tmp_path / name / "arm") for name in ("one", "two"))
    assert checked.policy_hash == unchecked.policy_hash
    assert checked.canary is not None


def test_cases_cannot_be_reproduced_without_running_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = golden_folder("smolvla")

    with pytest.raises(typer.Exit) as ended:
        export_command(str(folder), ExportOptions(tmp_path / "models", embodiment="so101", cases=folder, check=False))

    assert ended.value.exit_code == 1
    assert "--cases" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(("said", "recorded"), [(3, 3), (None, 10)])
def test_how_many_actions_are_executed_goes_along(tmp_path: Path, said: int | None, recorded: int) -> None:
    checkpoint = with_options(golden_checkpoint("act"), n_action_steps=said)

    export_checkpoint(checkpoint, options(tmp_path, check=False))

    assert read_policy_config(tmp_path / "arm").n_action_steps == recorded
    assert inspect_policy(tmp_path / "arm").executed == recorded
