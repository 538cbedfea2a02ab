"""What `reflex export` and `reflex verify` refuse before they work, and what they say of what they did."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex.errors import SetupError
from reflex.export_options import ExportOptions
from reflex.model_repository import CONFIG_FILE
from reflex.policy_config import read_policy_config
from reflex_export.checking.recorded import read_case
from reflex_export.checkpoint import Checkpoint
from reflex_export.commands.verify import parity_sentence
from reflex_export.errors import CheckpointError, ParityError
from reflex_export.exporting.pipeline import export_checkpoint
from reflex_export.families.common import arithmetic_of
from reflex_export.publishing.transaction import scratch_folder
from support.checkpoints.golden import golden_checkpoint, golden_folder

NOT_A_CHECKPOINT = "a-checkpoint-that-is-not-there"
LEAST = ("--embodiment", "so101", "--steps", "1")


def reflex(*arguments: object) -> tuple[int, str]:
    """Exit code, and what was said, in one line."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two policies that share an encoder, one of them held against recorded cases of ten steps."""
    repository = tmp_path_factory.mktemp("models")
    options = ExportOptions(repository, "arm", "so101", steps=(10, 4), cases=golden_folder("smolvla"))
    export_checkpoint(golden_checkpoint("smolvla"), options)
    return repository


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda _path: None, "is no folder"),
        (Path.mkdir, "holds no case_*.npz"),
        (Path.touch, "is no folder"),
    ],
    ids=["missing", "empty", "file"],
)
def test_cases_that_are_none_are_refused_before_anything_is_read(
    make: Callable[[Path], object], reason: str, tmp_path: Path
) -> None:
    cases, repository = tmp_path / "typo", tmp_path / "models"
    make(cases)

    code, said = reflex("export", NOT_A_CHECKPOINT, "--cases", cases, "--repository", repository)

    assert code == 1
    assert f"--cases {cases} {reason}" in said
    assert not repository.exists()


@pytest.mark.parametrize("folder", ["...", "-", "---"])
def test_a_folder_whose_name_makes_none_for_a_policy_asks_for_one(folder: str, tmp_path: Path) -> None:
    code, said = reflex("export", tmp_path / folder, "--repository", tmp_path / "models")

    assert code == 1
    assert f"the checkpoint's name '{folder}' makes none for a policy; choose one with --name" in said


def test_a_policys_place_is_not_taken_unasked(exported: Path) -> None:
    before = read_policy_config(exported / "arm")

    code, said = reflex("export", NOT_A_CHECKPOINT, "--name", "arm", "--repository", exported)

    assert code == 1
    assert f"has the policy {before.model_version} (parity passed) already" in said
    assert "--name" in said
    assert "--replace" in said


@pytest.mark.slow
def test_nor_is_that_of_a_further_step_count_or_of_what_is_no_policy(exported: Path, tmp_path: Path) -> None:
    further = ("--name", "arm-4", "--steps", "3", "--steps", "4")
    (tmp_path / "arm-4-4steps").mkdir()
    (tmp_path / "arm-4-4steps" / "notes.txt").touch()

    code, said = reflex("export", NOT_A_CHECKPOINT, *further, "--repository", tmp_path)

    assert code == 1
    assert "a folder arm-4-4steps, which is no policy of this version" in said
    assert (tmp_path / "arm-4-4steps" / "notes.txt").exists()


def described(name: str, repository: Path, *more: str) -> str:
    code, said = reflex("export", NOT_A_CHECKPOINT, "--name", name, "--repository", repository, *more)
    assert code == 1
    return said


def test_no_component_takes_the_place_of_a_policy_nor_a_policy_that_of_a_component(exported: Path) -> None:
    repository = exported.with_name("collision")
    shutil.copytree(exported, repository)
    for part in ("", "_preprocess", "_encoder", "_denoise"):
        shutil.copytree(exported / f"arm{part}", repository / f"hand_encoder{part}")
    config = (repository / "hand_encoder" / CONFIG_FILE).read_text()
    renamed = config.replace('"arm"', '"hand_encoder"').replace('"arm_', '"hand_encoder_')
    (repository / "hand_encoder" / CONFIG_FILE).write_text(renamed)

    assert "choose another --name: hand would have a component of this one" in described("hand", repository)
    assert "the policy hand_encoder, whose name a component of hand would have" in described(
        "hand", repository, "--replace"
    )
    assert "a folder arm_encoder, which the policy arm, arm-4steps runs," in described("arm_encoder", repository)
    assert "arm, arm-4steps runs arm_encoder" in described("arm_encoder", repository, "--replace")


def test_policies_that_share_a_component_are_replaced_together(exported: Path) -> None:
    assert "(not while arm-4steps is there, which needs it)" in described("arm", exported)
    assert "arm-4steps runs arm_preprocess, which this export would replace" in described("arm", exported, "--replace")
    together = described("arm", exported, "--replace", "--steps", "10", "--steps", "4")
    assert "does not exist, and is no hub id" in together


@pytest.mark.slow
def test_a_dry_run_takes_no_place_and_a_replacement_takes_it(tmp_path: Path) -> None:
    options = (str(golden_folder("smolvla")), "--name", "arm", "--repository", tmp_path, *LEAST)
    said = [reflex("export", *options, *more) for more in ((), (), ("--dry-run",), ("--max-batch", 4, "--replace"))]

    assert [code for code, _ in said] == [0, 1, 0, 0]
    assert "max_batch_size: 4" in (tmp_path / "arm_denoise" / "config.pbtxt").read_text()


def test_every_policy_of_an_export_is_named_for_the_server(tmp_path: Path) -> None:
    options = ("--name", "arm", "--embodiment", "so101", "--steps", "2", "--steps", "1", "--no-check")

    code, said = reflex("export", golden_folder("smolvla"), *options, "--repository", tmp_path / "models")

    assert code == 0
    assert said.endswith("--policy arm, or --policy arm-1steps")


def test_cases_that_were_left_out_are_counted_aloud(exported: Path) -> None:
    for name in ("arm", "arm-4steps"):
        parity = read_policy_config(exported / name).parity or {}
        recorded = sum(1 for _ in golden_folder("smolvla").glob("case_*.npz"))
        left_out = recorded - int(parity.get("cases", 0))

        assert parity["left_out"] == left_out > 0
        assert f"({left_out} left out: recorded with another step count)" in parity_sentence(name, parity)


@pytest.mark.parametrize("repository", ["/proc/models", "{}/file", "{}/file/models"])
def test_a_repository_that_cannot_be_made_is_refused_in_words(repository: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = Path(repository.format(tmp_path))

    with (
        pytest.raises(SetupError, match=r"--repository .* cannot be made \(.*\); name a folder that can be written"),
        scratch_folder(folder),
    ):
        pass


def test_a_repository_that_cannot_be_written_is_refused_in_words() -> None:
    with pytest.raises(SetupError, match=r"/proc/self cannot be written \("), scratch_folder(Path("/proc/self")):
        pass


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FP16 of one step, which misses the gate unless attention stays in FP32."""
    repository = tmp_path_factory.mktemp("models")
    source = str(golden_folder("smolvla").resolve())
    options = ExportOptions(
        repository, "arm", "so101", precision="fp16", steps=(1,), cases=golden_folder("smolvla"), source=source
    )
    export_checkpoint(golden_checkpoint("smolvla"), options)
    return repository


@pytest.mark.slow
def test_verify_says_that_attention_stayed_in_fp32(half: Path) -> None:
    code, said = reflex("verify", half, "--policy", "arm", "--cases", golden_folder("smolvla"))

    assert code == 0
    assert "computed in FP16, attention in FP32" in said
    assert arithmetic_of(read_policy_config(half / "arm")) == "fp16_mlp"


@pytest.mark.slow
def test_a_missed_gate_says_what_was_tried_and_what_can_be(tmp_path: Path) -> None:
    cases = tmp_path / "cases"
    cases.mkdir()
    spoil(min(golden_folder("smolvla").glob("case_*.npz")), cases / "case_0.npz", lambda case: case["actions_norm"] + 1)
    options = ExportOptions(tmp_path / "models", "arm", "so101", precision="fp16", steps=(10,), cases=cases)

    with pytest.raises(ParityError, match=r"attention in FP32 was tried as well.*--steps.*--cases.*--precision fp32"):
        export_checkpoint(golden_checkpoint("smolvla"), options)


def spoil(source: Path, target: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    with np.load(source) as recorded:
        case = {name: recorded[name] for name in recorded.files}
    np.savez(target, **(case | {"actions_norm": change(case)}))


def wanted(repository: Path, checkpoint: Checkpoint, case: Path) -> None:
    read_case(case, checkpoint, read_policy_config(repository / "arm").inputs)


def test_a_case_of_another_family_is_told_by_what_it_lacks(exported: Path) -> None:
    case = min(golden_folder("act").glob("case_*.npz"))

    with pytest.raises(
        CheckpointError, match=r"no recorded case of this smolvla policy: it has image\.observation\.images\.top, which"
    ):
        wanted(exported, golden_checkpoint("smolvla"), case)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("array", "shape", "why"),
    [
        ("state_raw", (9,), "state is 9, not 6"),
        ("noise", (1, 4, 32), "noise is 4x32, not 10x32"),
        ("image.observation.images.camera1", (8, 8, 4), "image.camera1 is 8x8x4, not anyxanyx3"),
    ],
)
def test_a_case_of_other_sizes_says_which_input_differs(
    exported: Path, tmp_path: Path, array: str, shape: tuple[int, ...], why: str
) -> None:
    with np.load(min(golden_folder("smolvla").glob("case_*.npz"))) as recorded:
        case = {name: recorded[name] for name in recorded.files}
    np.savez(tmp_path / "case_0.npz", **(case | {array: np.zeros(shape, case[array].dtype)}))

    with pytest.raises(CheckpointError, match=f"of this smolvla policy: {re.escape(why)}; name the folder"):
        wanted(exported, golden_checkpoint("smolvla"), tmp_path / "case_0.npz")


def test_a_case_with_more_tokens_than_the_policy_takes_says_how_many(exported: Path, tmp_path: Path) -> None:
    with np.load(min(golden_folder("smolvla").glob("case_*.npz"))) as recorded:
        case = {name: recorded[name] for name in recorded.files}
    case |= {"tokens": np.zeros((1, 99), np.int64), "token_mask": np.ones((1, 99), bool)}
    np.savez(tmp_path / "case_long.npz", **case)

    with pytest.raises(CheckpointError, match=r"its tokens are 99 long, the policy takes \d+"):
        wanted(exported, golden_checkpoint("smolvla"), tmp_path / "case_long.npz")


@pytest.mark.slow
def test_verify_lists_the_policies_where_the_named_one_is_not(exported: Path, tmp_path: Path) -> None:
    repository = tmp_path / "models"
    for name in ("arm", "arm-4steps"):
        (repository / name).mkdir(parents=True)
        shutil.copy(exported / name / CONFIG_FILE, repository / name)

    code, said = reflex("verify", repository, "--policy", "nosuch")

    assert code == 1
    assert "has no policy nosuch: it has arm, arm-4steps" in said


@pytest.mark.parametrize(
    ("name", "why"),
    [("_arm", "must begin with a letter or a digit, not with '_'"), ("a" * 120, "has 120 characters, at most 100")],
)
def test_a_name_that_no_policy_can_have_says_why(name: str, why: str, tmp_path: Path) -> None:
    assert why in described(name, tmp_path)
