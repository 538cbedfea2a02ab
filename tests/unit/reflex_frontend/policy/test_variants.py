"""Which variants a server loads beside its policy, and what it says where there are none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from reflex.errors import SetupError
from reflex.model_repository import CONFIG_FILE
from reflex.policy_config import read_policy_config
from reflex_frontend.policy.policy import find_repository
from reflex_frontend.policy.policy_set import load_policy_set
from reflex_frontend.policy.variants import needed_variants, require_velocity_change
from reflex_frontend.settings import Settings

ADAPTIVE = {"policy": "demo", "adaptive_steps": True}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The demo policy with 10 denoising steps, and what says that it is the same with 5, 3 and 1."""
    for folder in find_repository(None).glob("demo*"):
        shutil.copytree(folder, tmp_path / folder.name)
    for steps in (1, 5, 3):
        shutil.copytree(tmp_path / "demo", tmp_path / f"demo-{steps}steps")
        change(tmp_path, f"demo-{steps}steps", policy_id=f"demo-{steps}steps", denoising_steps=steps)
    return tmp_path


def change(repository: Path, policy: str, **fields: object) -> None:
    path = repository / policy / CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def needed(repository: Path, **settings: Any) -> list[str]:
    config = read_policy_config(repository / "demo")
    return list(needed_variants(Settings.load(settings), repository, config))


def without_output(repository: Path, policy: str) -> None:
    outputs = json.loads((repository / policy / CONFIG_FILE).read_text())["outputs"]
    change(repository, policy, outputs=[tensor for tensor in outputs if tensor["name"] != "velocity_change"])


def test_adaptive_steps_take_all_variants_that_can_tell_something(repository: Path) -> None:
    assert needed(repository, **ADAPTIVE) == ["demo-5steps", "demo-3steps"]
    without_output(repository, "demo-5steps")
    change(repository, "demo-3steps", components={"encoder": "another"})
    change(repository, "demo-1steps", denoising_steps=2)
    assert needed(repository, **ADAPTIVE) == ["demo-1steps"]


def test_degrading_takes_the_next_one_and_otherwise_there_is_none(repository: Path) -> None:
    assert needed(repository, slo="p99=1s", slo_mode="degrade") == ["demo-5steps"]
    assert needed(repository) == []


def test_they_are_loaded_and_may_answer(repository: Path) -> None:
    policy_set = load_policy_set(repository, Settings.load(ADAPTIVE))
    names = ["demo", "demo-5steps", "demo-3steps"]
    assert [policy.config.policy_id for policy in policy_set.answering] == names
    assert [config.policy_id for config in policy_set.configs] == names


@pytest.mark.parametrize(
    ("steps", "told"),
    [(10, "fewer than its 10 denoising steps too, at least 2; export it again with --steps 10 --steps 5"),
     (3, "takes 3 denoising steps, and fewer than 2 tell nothing; leave it out")],
)  # fmt: skip
def test_nothing_to_choose_from_is_refused_with_what_to_do(repository: Path, steps: int, told: str) -> None:
    for name in ("demo-5steps", "demo-3steps"):
        shutil.rmtree(repository / name)
    change(repository, "demo", denoising_steps=steps)
    with pytest.raises(SetupError, match=told):
        needed(repository, **ADAPTIVE)


def test_a_policy_that_does_not_report_its_velocity_is_refused(repository: Path) -> None:
    without_output(repository, "demo")
    with pytest.raises(SetupError, match=r"--adaptive-steps needs to know .* no output velocity_change"):
        needed(repository, **ADAPTIVE)
    with pytest.raises(SetupError, match="--tell-velocity-change needs"):
        require_velocity_change(read_policy_config(repository / "demo"), "--tell-velocity-change")


def test_a_variant_in_another_role_is_refused(repository: Path) -> None:
    with pytest.raises(SetupError, match="would be served twice"):
        load_policy_set(repository, Settings.load({**ADAPTIVE, "shadow": "demo-5steps"}))
    both = {"policy_a": "demo", "policy_b": "demo-5steps", "adaptive_steps": True}
    with pytest.raises(SetupError, match="would be served twice"):
        load_policy_set(repository, Settings.load(both))


def test_two_rules_for_one_number_are_refused() -> None:
    with pytest.raises(SetupError, match="both choose the number of denoising steps"):
        Settings.load({"adaptive_steps": True, "slo": "p99=1s", "slo_mode": "degrade"})
