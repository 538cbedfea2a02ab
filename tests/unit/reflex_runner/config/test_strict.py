"""A section of settings is read whole, or refused with the name of what is wrong in it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

import pytest

from reflex.errors import SetupError
from reflex_runner.config import sections
from reflex_runner.config.strict import _parser, parse_section


@dataclass(frozen=True)
class Section:
    port: str
    timeout_s: float = 1.0
    retries: int = 2


def test_what_is_left_out_has_its_default() -> None:
    assert parse_section(Section, {"port": "x", "timeout_s": 2}, "hardware") == Section("x", 2.0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"port": "x", "timeout": 2}, "hardware: no setting is called 'timeout'; did you mean 'timeout_s'?"),
        ({"port": "x", "zzz": 2}, "hardware: no setting is called 'zzz'; it knows port, timeout_s, retries"),
        ({}, "hardware.port: field required"),
        ({"port": "x", "retries": "many"}, "hardware.retries: input should be a valid integer"),
        ({1: "x"}, "hardware: no setting is called '1'"),
    ],
)
def test_what_is_wrong_is_named(given: dict[Any, Any], said: str) -> None:
    with pytest.raises(SetupError) as refused:
        parse_section(Section, given, "hardware")
    assert str(refused.value).startswith(said)


def test_settings_are_read_without_parsing_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python before 3.11.8 fails where two threads parse at once, and whoever logs a traceback parses too."""

    def parsed(*_: Any, **__: Any) -> None:
        raise AssertionError("source was read")

    _parser.cache_clear()
    monkeypatch.setattr(ast, "parse", parsed)
    assert parse_section(sections.TargetConfig, {"kind": "act"}, "target").kind == "act"
    for kind in (sections.SessionConfig, sections.SafetyConfig, sections.RecordingConfig):
        assert isinstance(parse_section(kind, {}, "section"), kind)
    assert parse_section(sections.HardwareConfig, {"kind": "sim"}, "hardware").kind == "sim"
    assert parse_section(sections.CameraConfig, {"kind": "opencv"}, "cameras.front").kind == "opencv"
