"""Precedence, and what a wrong setting says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reflex.errors import SetupError
from reflex_frontend.settings import Settings


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(f"REFLEX_{field.upper()}", raising=False)


FIELDS: list[tuple[str, object, str, object, object, object]] = [
    # field, default, REFLEX_ variable, its value, argument, its value
    ("model_repository", None, "/env", Path("/env"), "/arg", Path("/arg")),
    ("policy", None, "from_env", "from_env", "from_arg", "from_arg"),
    ("triton", None, "grpc://env:1", "env:1", "grpc://arg", "arg:8001"),
    ("host", "127.0.0.1", "0.0.0.0", "0.0.0.0", "::1", "::1"),
    ("port", 8000, "1", 1, 0, 0),
    ("robot_id", None, "e", "e", "a", "a"),
    ("max_queue", None, "1", 1, 0, 0),
    ("cors_origins", ("*",), "http://a, http://b,", ("http://a", "http://b"), "http://c", ("http://c",)),
    ("guard", True, "false", False, True, True),
    ("json_logs", False, "1", True, False, False),
    ("receive_timeout_s", 5.0, "2.5", 2.5, 1, 1.0),
    ("hang_restart_s", 10.0, "3", 3.0, 4, 4.0),
]


def test_the_table_below_has_every_field() -> None:
    assert [row[0] for row in FIELDS] == list(Settings.model_fields)


@pytest.mark.parametrize(("field", "default", "variable", "from_env", "argument", "from_argument"), FIELDS)
def test_an_argument_wins_over_the_environment_and_that_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
    field: str,
    default: object,
    variable: str,
    from_env: object,
    argument: object,
    from_argument: object,
) -> None:
    def loaded(overrides: Mapping[str, Any]) -> object:
        return getattr(Settings.load(overrides), field)

    assert loaded({}) == default
    assert loaded({field: argument}) == from_argument
    monkeypatch.setenv(f"REFLEX_{field.upper()}", variable)
    assert loaded({}) == from_env
    assert loaded({field: None}) == from_env
    assert loaded({field: argument}) == from_argument


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", 65536),
        ("port", "http"),
        ("max_queue", -1),
        ("robot_id", ""),
        ("robot_id", "r" * 129),
        ("triton", "localhost:8001"),
        ("triton", "http://localhost:8001"),
        ("triton", "grpc://"),
        ("triton", "grpc://host:99999"),
        ("triton", "grpc://host/path"),
        ("receive_timeout_s", 0),
        ("hang_restart_s", "soon"),
        ("json_logs", "maybe"),
    ],
)
def test_a_wrong_value_names_the_option_and_the_variable_without_echoing_it(field: str, value: object) -> None:
    with pytest.raises(SetupError) as caught:
        Settings.load({field: value})
    assert f"--{field.replace('_', '-')} (or REFLEX_{field.upper()}): " in str(caught.value)


def test_an_ipv6_triton_keeps_its_brackets() -> None:
    assert Settings.load({"triton": "grpc://[::1]:9001"}).triton == "[::1]:9001"


@pytest.mark.parametrize("field", ["triton", "robot_id", "max_queue", "port"])
def test_an_empty_variable_means_that_none_was_given(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    monkeypatch.setenv(f"REFLEX_{field.upper()}", "")
    assert Settings.load({}) == Settings.load({field: None})


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load({}).port = 1
