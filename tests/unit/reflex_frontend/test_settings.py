"""Precedence, and what a wrong setting says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from docs.documents import REPOSITORY
from reflex.api_keys import new_key
from reflex.errors import SetupError
from reflex_frontend.settings import NO_OPTION, Settings, unknown_variables
from reflex_frontend.slo import Slo


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(f"REFLEX_{field.upper()}", raising=False)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)


FIELDS: list[tuple[str, object, str, object, object, object]] = [
    # field, default, REFLEX_ variable, its value, argument, its value
    ("model_repository", None, "/env", Path("/env"), "/arg", Path("/arg")),
    ("policy", None, "from_env", "from_env", "from_arg", "from_arg"),
    ("policy_a", None, "from_env", "from_env", "from_arg", "from_arg"),
    ("policy_b", None, "from_env", "from_env", "from_arg", "from_arg"),
    ("split", 50, "10", 10, 0, 0),
    ("shadow", None, "from_env", "from_env", "from_arg", "from_arg"),
    ("shadow_percent", 100.0, "10", 10.0, 0.5, 0.5),
    ("slo", None, "p99=150ms", Slo(990, 0.15), "p99.9=2s", Slo(999, 2.0)),
    ("slo_mode", "log", "refuse", "refuse", "degrade", "degrade"),
    ("record", None, "/env", Path("/env"), "/arg", Path("/arg")),
    ("record_images", "hash", "none", "none", "full", "full"),
    ("record_by", "hour", "episode", "episode", "hour", "hour"),
    ("record_max_gb", 10.0, "1", 1.0, 0.5, 0.5),
    ("otel_endpoint", None, "http://env:1", "http://env:1", "https://arg", "https://arg"),
    ("trace_sample", 1.0, "0.5", 0.5, 0, 0.0),
    ("api_keys", None, "/env", Path("/env"), "/arg", Path("/arg")),
    ("session_key", None, "/env", Path("/env"), "/arg", Path("/arg")),
    ("sessions_from", None, "http://env:1/", "http://env:1", "https://arg", "https://arg"),
    ("control_key", None, "env", SecretStr("env"), "arg", SecretStr("arg")),
    ("insecure", False, "1", True, False, False),
    ("openpi_root", False, "1", True, False, False),
    ("allowed_hosts", None, "a,b", ("a", "b"), "c", ("c",)),
    ("admin_port", None, "1", 1, 0, 0),
    ("admin_token", None, "env", SecretStr("env"), "arg", SecretStr("arg")),
    ("triton", None, "grpc://env:1", "env:1", "unix:/run/grpc:1", "unix:/run/grpc:1"),
    ("device", "auto", "cpu", "cpu", "cuda", "cuda"),
    ("triton_admin_header", None, "a=b", SecretStr("a=b"), "c=d", SecretStr("c=d")),
    ("host", "127.0.0.1", "0.0.0.0", "0.0.0.0", "::1", "::1"),
    ("port", 8000, "1", 1, 0, 0),
    ("robot_id", None, "e", "e", "a", "a"),
    ("max_queue", None, "1", 1, 0, 0),
    ("cors_origins", ("*",), "http://a, http://b,", ("http://a", "http://b"), "http://c", ("http://c",)),
    ("guard", True, "false", False, True, True),
    ("max_clamped_share", 50.0, "30", 30.0, 40.5, 40.5),
    ("inject_latency_ms", 0.0, "150", 150.0, 80, 80.0),
    ("rtc", False, "1", True, False, False),
    ("rtc_execution_horizon", None, "5", 5, 1, 1),
    ("rtc_schedule", "linear", "exp", "exp", "ones", "ones"),
    ("rtc_max_guidance", 10.0, "5", 5.0, 0.5, 0.5),
    ("a2c2_checkpoint", None, "/env", Path("/env"), "/arg", Path("/arg")),
    ("a2c2_max_correction", 10.0, "5", 5.0, 0.5, 0.5),
    ("adaptive_steps", False, "1", True, False, False),
    ("adaptive_tolerance", 0.03, "0.1", 0.1, 0.02, 0.02),
    ("prefix_cache_mb", None, "512", 512.0, 0.5, 0.5),
    ("tell_velocity_change", False, "1", True, False, False),
    ("json_logs", False, "1", True, False, False),
    ("receive_timeout_s", 5.0, "2.5", 2.5, 1, 1.0),
    ("hang_restart_s", 10.0, "3", 3.0, 4, 4.0),
    ("keep_ensembles", False, "1", True, False, False),
    ("slo_window_s", 30.0, "5", 5.0, 10, 10.0),
]


NEEDED: dict[str, dict[str, Any]] = {
    "policy_a": {"policy_b": "other"},
    "policy_b": {"policy_a": "other"},
    "split": {"policy_a": "one", "policy_b": "other"},
    "slo_mode": {"slo": "p99=1s"},
    "slo_window_s": {"slo": "p99=1s"},
    "trace_sample": {"otel_endpoint": "http://collector:4318"},
    "shadow_percent": {"shadow": "other"},
    "record_images": {"record": "/recordings"},
    "record_by": {"record": "/recordings"},
    "record_max_gb": {"record": "/recordings"},
    "admin_token": {"admin_port": 0},
    "rtc_execution_horizon": {"rtc": True},
    "rtc_schedule": {"rtc": True},
    "rtc_max_guidance": {"rtc": True},
    "a2c2_max_correction": {"a2c2_checkpoint": "/head.safetensors"},
    "adaptive_tolerance": {"adaptive_steps": True},
    "sessions_from": {"control_key": new_key()},
}
"""What makes a field allowed."""


def test_the_table_below_has_every_field() -> None:
    assert [row[0] for row in FIELDS] == list(Settings.model_fields)


@pytest.mark.slow
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
        return getattr(Settings.load({**NEEDED.get(field, {}), **overrides}), field)

    assert getattr(Settings.load({}), field) == default
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
        ("robot_id", "arm\n7"),
        ("robot_id", "arm\x1b[2J"),
        ("triton", "localhost:8001"),
        ("triton", "http://localhost:8001"),
        ("triton", "grpc://"),
        ("triton", "grpc://host:99999"),
        ("triton", "grpc://host/path"),
        ("triton", "unix:relative"),
        ("device", "gpu"),
        ("receive_timeout_s", 0),
        ("hang_restart_s", "soon"),
        ("json_logs", "maybe"),
        ("split", 101),
        ("slo", "fast"),
        ("slo", "p99=0ms"),
        ("slo_mode", "panic"),
        ("shadow_percent", 0),
        ("record_images", "some"),
        ("record_by", "day"),
        ("record_max_gb", 0),
        ("admin_port", 70000),
        ("otel_endpoint", "collector:4318"),
        ("otel_endpoint", "grpc://collector:4317"),
        ("otel_endpoint", "http://user:s3cret@collector:4318"),
        ("trace_sample", 1.5),
        ("rtc_schedule", "cubic"),
        ("rtc_execution_horizon", 0),
        ("rtc_max_guidance", 0),
        ("rtc", "perhaps"),
        ("sessions_from", "control:8100"),
        ("sessions_from", "http://user:s3cret@control:8100"),
        ("sessions_from", "https://control/?key=s3cret"),
    ],
)
def test_a_wrong_value_names_the_option_and_the_variable_without_echoing_it(field: str, value: object) -> None:
    with pytest.raises(SetupError) as caught:
        Settings.load({field: value})
    variable = f"REFLEX_{field.upper()}"
    named = variable if field in NO_OPTION else f"--{field.replace('_', '-')} (or {variable})"
    assert f"{named}: " in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("port", "http", "must be a whole number"),
        ("port", 65536, "must be at most 65535"),
        ("port", -1, "must be at least 0"),
        ("record_max_gb", "many", "must be a number"),
        ("record_max_gb", 0, "must be above 0"),
        ("json_logs", "maybe", "must be true or false"),
        ("slo_mode", "panic", "must be one of 'log', 'refuse' or 'degrade'"),
        ("robot_id", "", "must not be empty"),
        ("slo", "fast", "must look like p99=150ms or p99.9=0.5s"),
        ("triton", "localhost", "must look like grpc://host:8001"),
    ],
)
def test_a_wrong_value_is_told_in_plain_words(field: str, value: object, told: str) -> None:
    with pytest.raises(SetupError) as caught:
        Settings.load({field: value})
    assert str(caught.value).endswith(f"): {told}")


def test_an_ipv6_triton_keeps_its_brackets() -> None:
    assert Settings.load({"triton": "grpc://[::1]:9001"}).triton == "[::1]:9001"


@pytest.mark.parametrize("field", ["triton", "robot_id", "max_queue", "port"])
def test_an_empty_variable_means_that_none_was_given(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    monkeypatch.setenv(f"REFLEX_{field.upper()}", "")
    assert Settings.load({}) == Settings.load({field: None})


@pytest.mark.parametrize(
    ("together", "told"),
    [
        ({"policy_a": "one"}, "both --policy-a and --policy-b"),
        ({"policy_b": "one"}, "both --policy-a and --policy-b"),
        ({"policy": "one", "policy_a": "one", "policy_b": "two"}, "either --policy, or"),
        ({"split": 20}, "--split needs"),
        ({"slo_mode": "refuse"}, "--slo-mode needs --slo"),
        ({"trace_sample": 0.5}, "--trace-sample needs --otel-endpoint"),
        ({"slo_window_s": 5}, "REFLEX_SLO_WINDOW_S needs --slo"),
        ({"shadow_percent": 5}, "--shadow-percent needs --shadow"),
        ({"record_images": "full"}, "--record-images needs --record"),
        ({"record_by": "episode"}, "--record-by needs --record"),
        ({"record_max_gb": 1}, "--record-max-gb needs --record"),
        ({"guard": False, "max_clamped_share": 30}, "--max-clamped-share needs the guard"),
        (
            {"sessions_from": "http://control:8100"},
            "--sessions-from needs a key .*REFLEX_CONTROL_KEY or REFLEX_API_KEY",
        ),
        ({"sessions_from": "http://control:8100", "control_key": "rfx_\n"}, "--sessions-from needs a key"),
        ({"admin_token": "s3cret"}, "REFLEX_ADMIN_TOKEN needs --admin-port, or two policies"),
    ],
)
def test_what_does_not_go_together_is_refused(together: dict[str, Any], told: str) -> None:
    with pytest.raises(SetupError, match=told):
        Settings.load(together)


def test_a_control_planes_key_may_stand_in_either_variable_and_its_own_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    general, own = new_key(), new_key()
    monkeypatch.setenv("REFLEX_API_KEY", general)
    settings = Settings.load({"sessions_from": "http://control:8100"})
    assert settings.control_key == SecretStr(general)
    assert general not in repr(settings)
    monkeypatch.setenv("REFLEX_CONTROL_KEY", own)
    assert Settings.load({}).control_key == SecretStr(own)


@pytest.mark.parametrize("field", ["split", "shadow_percent", "slo_window_s", "record_by", "admin_token"])
def test_a_variable_without_effect_is_refused_as_an_option_is(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    variable = next(row[2] for row in FIELDS if row[0] == field)
    monkeypatch.setenv(f"REFLEX_{field.upper()}", variable)
    with pytest.raises(SetupError, match="needs"):
        Settings.load({})


@pytest.mark.parametrize(
    "together",
    [
        {"admin_token": "s3cret", "policy_a": "one", "policy_b": "two"},
        {"insecure": True, "api_keys": "keys"},
        {"hang_restart_s": 5, "triton": "grpc://host"},
    ],
)
def test_what_goes_together_or_comes_from_an_image_is_not_refused(together: dict[str, Any]) -> None:
    Settings.load(together)


def test_the_standard_variable_of_opentelemetry_is_read_and_ours_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://standard:4318")
    assert Settings.load({}).otel_endpoint == "http://standard:4318"
    monkeypatch.setenv("REFLEX_OTEL_ENDPOINT", "http://ours:4318")
    assert Settings.load({}).otel_endpoint == "http://ours:4318"


def test_secrets_are_not_shown() -> None:
    shown = repr(Settings.load({"admin_port": 0, "admin_token": "s3cret", "triton_admin_header": "x=s3cret"}))
    assert "s3cret" not in shown


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load({}).port = 1


@pytest.mark.parametrize("how", ["option", "variable"])
def test_the_old_word_for_refusing_is_still_taken(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "variable":
        monkeypatch.setenv("REFLEX_SLO_MODE", "503")
    given = {"slo_mode": "503"} if how == "option" else {}

    assert Settings.load({"slo": "p99=1s", **given}).slo_mode == "refuse"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("REFLEX_PROT", "REFLEX_PROT is no setting of `reflex serve` and has no effect; did you mean REFLEX_PORT?"),
        ("REFLEX_SPLT", "REFLEX_SPLT is no setting of `reflex serve` and has no effect; did you mean REFLEX_SPLIT?"),
        ("REFLEX_COLOUR", "REFLEX_COLOUR is no setting of `reflex serve` and has no effect"),
    ],
)  # fmt: skip
def test_a_variable_that_is_no_setting_is_told_of_and_never_its_value(name: str, told: str) -> None:
    assert list(unknown_variables({name: "s3cret", "PATH": "/bin"})) == [told]


def variables_of_our_commands() -> set[str]:
    """Every one that stands in the sources."""
    folders = ("src", "frontend", "export", "control", "analysis", "runner", "learning")
    sources = [path for folder in folders for path in (REPOSITORY / folder).rglob("*.py")]
    return {name for path in sources for name in re.findall(r"\bREFLEX_[A-Z_]*[A-Z]\b", path.read_text())}


def test_settings_and_the_variables_of_other_commands_are_known() -> None:
    known = [f"REFLEX_{field.upper()}" for field in Settings.model_fields]
    others = variables_of_our_commands()
    assert {"REFLEX_CONTROL_PORT", "REFLEX_CONVEX_URL", "REFLEX_ONNX_THREADS"} <= others
    assert list(unknown_variables(dict.fromkeys([*known, *others], "1"))) == []


def test_a_slip_in_a_variable_of_another_command_is_told_too() -> None:
    assert list(unknown_variables({"REFLEX_CONTROL_PROT": "1"})) == [
        "REFLEX_CONTROL_PROT is no setting of `reflex serve` and has no effect; did you mean REFLEX_CONTROL_PORT?"
    ]


@pytest.mark.parametrize("field", [field for field in NO_OPTION if field.endswith("_s")])
def test_what_has_no_option_is_named_by_its_variable_alone(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    monkeypatch.setenv(f"REFLEX_{field.upper()}", "0")
    with pytest.raises(SetupError) as caught:
        Settings.load({"slo": "p99=1s"})
    assert str(caught.value).startswith(f"REFLEX_{field.upper()}: must be ")
    assert "--" not in str(caught.value)
