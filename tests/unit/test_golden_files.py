"""The recordings of `tests/golden` are whole: the recorded bytes, a case of every kind, and no test that skips."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from support.checkpoints import golden
from support.checkpoints.golden import GOLDEN, golden_case, golden_cases, golden_checkpoint, golden_folder

REPOSITORY: Final = GOLDEN.parents[1]
LARGEST_BYTES: Final = 16_000_000
SELF: Final = {"README.md", "SHA256SUMS"}
VLA: Final = ("smolvla", "pi0", "pi05")
VARIANTS: Final = ("variants/smolvla_longest", "variants/pi0_basekeys", "variants/pi05_basekeys")
FOLDERS: Final = (*VLA, *VARIANTS, "act", "diffusion")
CASES: Final = [(folder, case) for folder in FOLDERS for case in golden_cases(folder)]
ANSWER: Final = {"state_raw", "state_normalized", "actions_norm", "actions"}
DENOISED: Final = {"noise", "num_steps", "tokens", "token_mask", "task", "prompt", "x_t", "v_t", "prefix_pad_masks"}
ENCODED: Final = {f"{kind}.0" for kind in ("pixel_values", "image_embeds", "prefix_k", "prefix_v")}
GUIDED: Final = {"rtc.prev_chunk_left_over", "rtc.weights", "rtc.max_guidance_weight", "v_t_guided", "x_after_step"}
CLASSIC: Final = {
    "act": {"encoder_in", "encoder_out"},
    "diffusion": {"noise", "step_noise", "x_t", "model_output", "global_cond"},
}


def recorded_files() -> dict[str, Path]:
    """Every recording by its path below `tests/golden`."""
    paths = {path.relative_to(GOLDEN).as_posix(): path for path in GOLDEN.rglob("*") if path.is_file()}
    return {name: path for name, path in paths.items() if name not in SELF}


def compared_arrays(folder: str, case: str) -> set[str]:
    """What the parity tests read of a case."""
    if folder in CLASSIC:
        return ANSWER | CLASSIC[folder]
    return ANSWER | DENOISED | (GUIDED if "rtc" in case else ENCODED)


def test_every_file_has_the_recorded_bytes_and_none_is_missing_or_more() -> None:
    lines = (GOLDEN / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    listed = {name: digest for digest, name in (line.split("  ", maxsplit=1) for line in lines)}

    found = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in recorded_files().items()}

    assert found == listed


def test_a_clone_carries_at_most_16_megabytes_of_recordings() -> None:
    assert sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file()) <= LARGEST_BYTES


def test_no_wheel_image_or_source_archive_carries_them() -> None:
    targets = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]
    taken = [*targets["wheel"]["packages"], *targets["wheel"]["force-include"]]
    images = (REPOSITORY / ".dockerignore").read_text("utf-8").splitlines()

    assert not [path for path in taken if path.startswith("tests")]
    assert "/tests/golden" in targets["sdist"]["exclude"]
    assert "*" in images
    assert not [line for line in images if line.startswith("!tests")]


@pytest.mark.parametrize(("folder", "case"), CASES)
def test_a_case_holds_every_array_that_the_parity_tests_compare(folder: str, case: str) -> None:
    assert compared_arrays(folder, case) - golden_case(folder, case).keys() == set()


@pytest.mark.parametrize("folder", VLA)
def test_every_schedule_and_step_count_is_recorded_and_an_absent_camera(folder: str) -> None:
    cases = [golden_case(folder, case) for case in golden_cases(folder)]

    assert {str(case["rtc.schedule"]) for case in cases if "rtc.schedule" in case} == {"LINEAR", "EXP", "ONES", "ZEROS"}
    assert {int(case["num_steps"]) for case in cases} == {1, 2, 4, 5, 10}
    assert any(f"image.{camera.key}" not in case for case in cases for camera in golden_checkpoint(folder).cameras)


@pytest.mark.parametrize("folder", ["smolvla", "pi0"])
def test_a_task_is_recorded_that_the_policy_cuts(folder: str) -> None:
    cases, text = [golden_case(folder, case) for case in golden_cases(folder)], golden_checkpoint(folder).text

    assert text is not None
    assert any(case["token_mask"].sum() == text.max_tokens for case in cases)


@pytest.mark.parametrize("folder", VARIANTS)
def test_a_variant_is_recorded_in_one_step_in_ten_and_with_a_camera_absent(folder: str) -> None:
    cases = [golden_case(folder, case) for case in golden_cases(folder)]

    assert {1, 10} <= {int(case["num_steps"]) for case in cases}
    assert any(f"image.{camera.key}" not in case for case in cases for camera in golden_checkpoint(folder).cameras)


def test_the_readme_or_the_guide_explains_every_array() -> None:
    guide = REPOSITORY / "docs" / "export.md"
    explained = set(re.findall(r"`([\w.<>]+)`", "".join(p.read_text("utf-8") for p in (GOLDEN / "README.md", guide))))
    arrays = set()
    for path in GOLDEN.rglob("case_*.npz"):
        with np.load(path, allow_pickle=False) as recorded:
            arrays |= set(recorded.files)

    names = {re.sub(r"^image\..*", "image.<key>", array) for array in arrays}
    names = {re.sub(r"^pixel_values\..*|^image_embeds\..*", lambda m: f"{m[0].split('.')[0]}.<i>", n) for n in names}
    names = {re.sub(r"^(prefix_[kv])\.\d+", r"\1.<l>", name) for name in names}

    assert names - explained == set()


def test_without_its_recordings_a_test_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(golden, "GOLDEN", tmp_path)
    (tmp_path / "pi0").mkdir()

    with pytest.raises(FileNotFoundError, match=r"act is absent.*git checkout"):
        golden_folder("act")
    with pytest.raises(FileNotFoundError, match=r"pi0 holds no case_\*\.npz"):
        golden_cases("pi0")


def test_a_parametrisation_over_nothing_is_an_error(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getini("empty_parameter_set_mark") == "fail_at_collect"
