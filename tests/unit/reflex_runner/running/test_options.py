"""What the command line says counts for one run, and can only make it stricter."""

from __future__ import annotations

import pytest

from reflex_runner.config.sections import HardwareConfig, Mode, RobotConfig, SessionConfig
from reflex_runner.running.options import RunOptions, with_options


def config(mode: Mode = "dry_run") -> RobotConfig:
    return RobotConfig(HardwareConfig("sim"), SessionConfig(mode=mode, max_steps=7))


@pytest.mark.parametrize(
    ("file", "said", "mode"),
    [
        ("dry_run", None, "dry_run"),
        ("dry_run", "apply_actions", "dry_run"),
        ("apply_actions", None, "apply_actions"),
        ("apply_actions", "dry_run", "dry_run"),
        ("apply_actions", "apply_actions", "apply_actions"),
    ],
)
def test_the_strictest_mode_counts(file: Mode, said: Mode | None, mode: Mode) -> None:
    assert with_options(config(file), RunOptions(mode=said)).session.mode == mode


def test_steps_and_recording_are_as_said() -> None:
    assert with_options(config(), RunOptions()).session.max_steps == 7
    assert with_options(config(), RunOptions(max_steps=0)).session.max_steps == 0
    assert with_options(config(), RunOptions()).recording.is_on
    assert not with_options(config(), RunOptions(records=False)).recording.is_on


def test_a_key_is_not_shown() -> None:
    assert "secret" not in repr(RunOptions(api_key="secret"))
