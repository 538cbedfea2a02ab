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
    "a part of another export": replaced("demo_encoder/config.pbtxt", 'reflex_export_id" value { string_value: "', "x"),
    "an unknown export": replaced("demo_denoise/config.pbtxt", 'string_value: "', 'string_value: "0'),
    "a part that is gone": lambda folder: shutil.rmtree(folder / "demo_preprocess"),
    "another robot": replaced("demo/reflex_config.json", '"embodiment": "franka"', '"embodiment": "ur5"'),
    "no robot": replaced("demo/reflex_config.json", '"embodiment": "franka"', '"embodiment": "nobody"'),
    "another name": replaced("demo/reflex_config.json", '"policy_id": "demo"', '"policy_id": "other"'),
}


def test_what_ships_can_be_served() -> None:
    require_servable(SHIPPED, "demo", read_policy_config(SHIPPED / "demo"))


@pytest.mark.parametrize("damage", DAMAGE)
def test_both_refuse_the_same(tmp_path: Path, damage: str) -> None:
    shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True)
    DAMAGE[damage](tmp_path)
    with pytest.raises(SetupError):
        load_policy(tmp_path, "demo")
    with pytest.raises(SetupError):
        require_servable(tmp_path, "demo", read_policy_config(tmp_path / "demo"))
