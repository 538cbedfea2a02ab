"""`reflex verify` refuses of a repository what a server refuses."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex.policy_config import read_policy_config
from reflex_export.checking.servable import require_servable
from reflex_frontend.policy.policy import load_policy

SHIPPED = Path(__file__).resolve().parents[4] / "model_repository"


def replaced(file: str, old: str, new: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_text((folder / file).read_text().replace(old, new))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a part of another export": replaced("demo_denoise/config.pbtxt", 'string_value: "', 'string_value: "0'),
    "a part of an unknown export": replaced("demo_encoder/config.pbtxt", "reflex_export_id", "another_id"),
    "a part that is gone": lambda folder: shutil.rmtree(folder / "demo_preprocess"),
    "another robot": replaced("demo/reflex_config.json", '"embodiment": "franka"', '"embodiment": "ur5"'),
    "no robot": replaced("demo/reflex_config.json", '"embodiment": "franka"', '"embodiment": "nobody"'),
    "no robot in its own file": lambda folder: (folder / "demo/embodiment.json").write_text("{}"),
    "another name": replaced("demo/reflex_config.json", '"policy_id": "demo"', '"policy_id": "other"'),
}


def test_what_ships_can_be_served() -> None:
    require_servable(SHIPPED, "demo", read_policy_config(SHIPPED / "demo"))


def refusals(repository: Path) -> tuple[str, str]:
    """A server's and verify's, without what the system says of a file."""
    with pytest.raises(SetupError) as served:
        load_policy(repository, "demo")
    with pytest.raises(SetupError) as verified:
        require_servable(repository, "demo", read_policy_config(repository / "demo"))
    return str(served.value).partition("(")[0], str(verified.value).partition("(")[0]


@pytest.mark.parametrize("damage", DAMAGE)
def test_both_refuse_the_same_in_the_same_words(tmp_path: Path, damage: str) -> None:
    shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True)
    DAMAGE[damage](tmp_path)
    served, verified = refusals(tmp_path)
    assert served == verified


def test_both_refuse_a_part_that_triton_cannot_read(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True)
    replaced("demo_encoder/config.pbtxt", 'reflex_export_id" value { string_value: "', "x")(tmp_path)
    served, verified = refusals(tmp_path)
    assert "is no Triton model configuration" in served
    assert "demo_encoder is from export unknown" in verified
