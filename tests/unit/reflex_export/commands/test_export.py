"""An adapter on the command line: what export was told of its base model, verify and inspect must be told as well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from support.checkpoints.adapted import adapter_folder, edit_adapter
from support.checkpoints.golden import golden_folder

BASE = str(golden_folder("pi0"))
OPTIONS = ("--name", "arm", "--embodiment", "so101", "--steps", "1", "--no-check")


def reflex(*arguments: object) -> tuple[int, str]:
    """Exit code, and what was said, in one line."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a base model that is nowhere under the name that it has in there."""
    folder = adapter_folder(tmp_path_factory.mktemp("adapter") / "adapter", "pi0")
    edit_adapter(folder, base_model_name_or_path="/of/the/training/machine")
    return folder


@pytest.mark.slow
def test_an_exported_adapter_is_verified_against_its_merged_weights(adapter: Path, tmp_path: Path) -> None:
    exported, _ = reflex("export", adapter, "--base", BASE, *OPTIONS, "--repository", tmp_path)
    verified, said = reflex("verify", tmp_path, "--policy", "arm", "--base", BASE)
    untuned, differs = reflex("verify", tmp_path, "--policy", "arm", "--source", BASE)

    assert (exported, verified, untuned) == (0, 0, 1)
    assert "parity passed" in said
    assert "parity failed" in differs


@pytest.mark.parametrize("command", [("export", *OPTIONS), ("inspect",)])
def test_without_its_base_model_it_is_refused_by_name(command: tuple[str, ...], adapter: Path, tmp_path: Path) -> None:
    name, *options = command
    where = ("--repository", tmp_path / "models") if name == "export" else ()

    code, said = reflex(name, adapter, *options, *where)

    assert code == 1
    assert "an adapter of '/of/the/training/machine', which is not here" in said
    assert not (tmp_path / "models").exists()


def test_a_disk_that_is_full_is_said_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"weights")

    monkeypatch.setattr("reflex_export.commands.export.export_checkpoint", full)
    typed = ("export", BASE, *OPTIONS, "--repository", tmp_path / "models")

    code, said = reflex(*typed)
    assert code == 1
    assert f"reflex: {tmp_path}/models, or the folder for temporary files" in said
    assert said.endswith("cannot be written or read (No space left on device); mend that, and try again")
    assert json.loads(CliRunner().invoke(app, [*map(str, typed), "--json"]).stdout)["error"] == "setup"


def test_inspect_counts_what_the_merged_policy_has(adapter: Path) -> None:
    code, said = reflex("inspect", adapter, "--base", BASE)
    _, base_said = reflex("inspect", BASE)

    assert code == 0
    assert said.partition("parameters")[2] == base_said.partition("parameters")[2]


def test_beside_whole_weights_the_option_decides(adapter: Path, tmp_path: Path) -> None:
    folder = adapter_folder(tmp_path / "beside", "pi0")
    (folder / "model.safetensors").symlink_to(Path(BASE) / "model.safetensors")

    codes = [reflex("inspect", folder, *more)[0] for more in ((), ("--adapter", "merge"), ("--adapter", "ignore"))]

    assert codes == [1, 0, 0]
