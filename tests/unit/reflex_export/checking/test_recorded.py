"""What is refused of a file that shall be a recorded case, and what is said of it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex.policy_config import PolicyConfig
from reflex_export.checking.comparison import compare_with_cases
from reflex_export.checking.parity import Parity, gate_of
from reflex_export.checking.recorded import read_case
from reflex_export.checkpoint import Checkpoint
from reflex_export.errors import CheckpointError
from reflex_export.progress import unseen
from reflex_export.reading import read_checkpoint
from unit.reflex_export.checking.test_comparison import CHUNK, Answers, record

LEAST_NAN = np.array([[[0.5, np.nan]]], np.float32)


@pytest.fixture(scope="module")
def checkpoint(demo_checkpoint: Path) -> Checkpoint:
    return read_checkpoint(demo_checkpoint)


@pytest.fixture
def case(tmp_path: Path, demo: PolicyConfig, checkpoint: Checkpoint) -> Path:
    record(tmp_path / "cases", 0, checkpoint, demo, steps=4)
    return tmp_path / "cases" / "case_0.npz"


def with_changes(path: Path, **changes: Any) -> None:
    with np.load(path) as recorded:
        arrays = {name: recorded[name] for name in recorded.files}
    np.savez(path, **(arrays | changes))


def test_a_whole_case_is_read(case: Path, checkpoint: Checkpoint, demo: PolicyConfig) -> None:
    found = read_case(case, checkpoint, demo.inputs)

    assert (found.name, found.steps) == ("case_0", 4)
    assert (found.actions_normalized == CHUNK).all()


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(255 - byte for byte in content[middle : middle + 4000]) + content[middle + 4000 :]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda _: b"", "no .npz archive"),
        (lambda _: b"PK", "no .npz archive"),
        (lambda _: b"version https://git-lfs.github.com/spec/v1\n", "no .npz archive"),
        (lambda content: content[: len(content) // 2], "no .npz archive"),
        (flip, ""),
    ],
    ids=["empty", "two-bytes", "pointer", "half", "flipped"],
)
def test_a_file_that_is_no_archive_is_refused(
    damage: Callable[[bytes], bytes], why: str, case: Path, checkpoint: Checkpoint, demo: PolicyConfig
) -> None:
    case.write_bytes(damage(case.read_bytes()))

    with pytest.raises(CheckpointError, match=f"case_0.npz is no recorded case of this .* policy: .*{why}"):
        read_case(case, checkpoint, demo.inputs)


def test_an_array_that_says_it_has_terabytes_is_refused(case: Path, checkpoint: Checkpoint, demo: PolicyConfig) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(  # type: ignore[no-untyped-call]
        header, {"descr": "<f4", "fortran_order": False, "shape": (10**13,)}
    )
    with zipfile.ZipFile(case, "w") as archive:
        archive.writestr("actions.npy", header.getvalue())

    with pytest.raises(CheckpointError, match="is no recorded case of this"):
        read_case(case, checkpoint, demo.inputs)


def test_a_single_array_is_no_archive(case: Path, checkpoint: Checkpoint, demo: PolicyConfig) -> None:
    with case.open("wb") as file:
        np.save(file, np.zeros(3))

    with pytest.raises(CheckpointError, match=r"no \.npz archive"):
        read_case(case, checkpoint, demo.inputs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"actions_norm": LEAST_NAN}, "its actions_norm are not finite"),
        ({"actions": LEAST_NAN}, "its actions are not finite"),
        ({"state_raw": np.full(7, np.nan, np.float32)}, "its state_raw are not finite"),
        ({"state_raw": np.full(7, "0.1")}, "its state_raw are no numbers"),
        ({"actions_norm": np.full((1, 1, 2), "0.5")}, "its actions_norm are no numbers"),
        ({"num_steps": np.array([1, 2])}, "can only convert an array of size 1"),
        ({"tokens": np.arange(3)}, ""),
        ({"token_mask": np.ones(5)}, ""),
    ],
)
def test_arrays_that_cannot_be_compared_are_refused_by_name(
    changes: dict[str, Any], why: str, case: Path, checkpoint: Checkpoint, demo: PolicyConfig
) -> None:
    with_changes(case, **changes)

    with pytest.raises(CheckpointError, match=rf"no recorded case of this \w+ policy: .*({why})"):
        read_case(case, checkpoint, demo.inputs)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_noise_that_is_not_finite_is_refused(
    value: float, case: Path, checkpoint: Checkpoint, demo: PolicyConfig
) -> None:
    with np.load(case) as recorded:
        noise = np.full_like(recorded["noise"], value)
    with_changes(case, noise=noise)

    with pytest.raises(CheckpointError, match="its noise are not finite"):
        read_case(case, checkpoint, demo.inputs)


def test_an_answer_of_another_shape_than_the_policys_is_refused(
    case: Path, checkpoint: Checkpoint, demo: PolicyConfig
) -> None:
    with_changes(case, num_steps=np.array(demo.denoising_steps), actions_norm=CHUNK[:, :, :1])

    with pytest.raises(CheckpointError, match=r"actions_norm have the shape \(1, 1, 1\), but the policy answers"):
        compare_with_cases(
            Parity(gate_of("fp32"), "cases"), Answers(CHUNK), demo, checkpoint, case.parent, progress=unseen
        )
