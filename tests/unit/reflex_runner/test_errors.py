"""Whoever runs a robot catches one kind of error, and scripts know each by its code."""

from __future__ import annotations

from email.message import Message
from urllib.error import HTTPError

import pytest

from reflex.errors import ReflexError
from reflex_runner.errors import HardwareError, RunnerError, code_of


def test_what_fails_at_the_robot_is_one_kind_with_codes_of_its_own() -> None:
    for raised in (HardwareError("motor 3 does not answer"), RunnerError("no session")):
        with pytest.raises(RunnerError) as caught:
            raise raised
        assert isinstance(caught.value, ReflexError)
    assert {HardwareError.code, RunnerError.code} == {"hardware_error", "runner_error"}


def test_what_others_call_a_code_is_none_of_ours() -> None:
    refused = HTTPError("http://robot", 404, "no", Message(), None)
    assert [code_of(each, "observe_failed") for each in (HardwareError("x"), SystemExit(3), refused, ValueError())] == [
        "hardware_error", "observe_failed", "observe_failed", "observe_failed"
    ]  # fmt: skip
    refused.close()
