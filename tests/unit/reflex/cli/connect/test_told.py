"""The exit code of a run says what kind of thing went wrong first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reflex.cli.connect.told import exit_code_of_run
from reflex_runner.config.sections import HardwareConfig, RobotConfig
from reflex_runner.loop.tally import Tally
from reflex_runner.motion.descent import StopCause
from reflex_runner.running.run import Outcome


def outcome(*codes: str, ended_by: StopCause | None = None) -> Outcome:
    tally = Tally()
    for code in codes:
        tally.failed(code, "m")
    config = RobotConfig(HardwareConfig("sim"), path=Path("/robot.yaml"))
    return Outcome(tally.result(), config, "dry_run", ended_by)


@pytest.mark.parametrize(
    ("codes", "exit_code"),
    [
        ((), 0),
        (("hardware_error",), 1),
        (("not_permitted", "stale_chunk"), 5),
        (("session_expired",), 5),
        (("unauthorized",), 3),
        (("unreachable", "stale_chunk"), 4),
        (("client_timeout",), 4),
        (("stale_chunk",), 1),
    ],
)
def test_the_first_error_counts(codes: tuple[str, ...], exit_code: int) -> None:
    assert exit_code_of_run(outcome(*codes)) == exit_code


@pytest.mark.parametrize(("code", "exit_code"), [("interrupted", 130), ("terminated", 143), ("max_steps", 0)])
def test_without_an_error_it_is_who_ended_it(code: str, exit_code: int) -> None:
    ended_by: Any = StopCause(code, "m", "operator")
    assert exit_code_of_run(outcome(ended_by=ended_by)) == exit_code
    assert exit_code_of_run(outcome("hardware_error", ended_by=ended_by)) == 1
