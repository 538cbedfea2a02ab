"""What --rtc is refused with, before anything is started."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from reflex.errors import SetupError
from reflex_frontend.motion.fitness import GUIDING_OPTIONS, require_continuable, require_prefix, require_rtc
from reflex_frontend.settings import Settings
from support.fakes import policy_config, served_policy
from support.motion.continuing import continuing_config
from support.motion.staged import staged_policy

GUIDED, TRAINED = served_policy(continuing_config()), served_policy(continuing_config(trained=True))
VALUES: dict[str, Any] = {"rtc_execution_horizon": 5, "rtc_schedule": "exp", "rtc_max_guidance": 5.0}


def test_a_policy_that_takes_a_chunk_and_gives_one_will_do_guided_or_trained() -> None:
    for policy in (GUIDED, TRAINED):
        require_continuable(policy)
        require_rtc(Settings.load({"rtc": True}), [policy])


def test_a_policy_whose_graph_takes_no_chunk_is_refused_by_its_family() -> None:
    with pytest.raises(SetupError, match=r"small \(act\) cannot continue a chunk: .* prev_chunk, as those of SmolVLA"):
        require_continuable(served_policy(policy_config(family="act")))


def test_a_policy_that_does_not_give_what_the_next_chunk_continues_is_refused() -> None:
    config = continuing_config()
    outputs = tuple(tensor.model_dump() for tensor in config.outputs[:1])
    with pytest.raises(SetupError, match="no output actions_normalized"):
        require_continuable(served_policy(continuing_config(outputs=outputs)))


def test_an_old_export_with_relative_actions_is_refused_and_one_without_is_not() -> None:
    old = served_policy(continuing_config(action_space=None))
    require_continuable(old)
    with pytest.raises(SetupError, match=r"relative to the state.*export it again"):
        require_continuable(dataclasses.replace(old, adds_state=True))
    require_continuable(dataclasses.replace(GUIDED, adds_state=True))


@pytest.mark.parametrize("option", GUIDING_OPTIONS)
def test_an_option_that_no_policy_heeds_is_refused_by_its_name(option: str) -> None:
    settings = Settings.load({"rtc": True, option: VALUES[option]})
    with pytest.raises(SetupError, match=f"--{option.replace('_', '-')} does nothing with small, which was trained"):
        require_rtc(settings, [TRAINED, TRAINED])
    require_rtc(settings, [TRAINED, GUIDED])


def test_a_policy_whose_models_cannot_be_run_one_by_one_has_nothing_to_keep() -> None:
    with pytest.raises(SetupError, match=r"--prefix-cache-mb does nothing with small \(test\).*export it again"):
        require_prefix(served_policy(), 100)
    require_prefix(staged_policy(served_policy()), 100)


def test_a_bound_that_holds_not_one_observation_is_refused_with_what_one_takes() -> None:
    policy = staged_policy(served_policy())
    with pytest.raises(SetupError, match=r"--prefix-cache-mb 6e-05 has no room .* becomes 6.4e-05 MB"):
        require_prefix(policy, 60e-6)
