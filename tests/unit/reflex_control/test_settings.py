"""Settings come from options, then the environment; a wrong one is named, and a folder is its owner's alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex.serving.variables import CONTROL_VARIABLES
from reflex_control.settings import Settings, default_data_folder, unknown_variables


def test_an_option_wins_over_its_variable_and_both_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFLEX_CONTROL_PORT", "9001")
    monkeypatch.setenv("REFLEX_CONTROL_ALLOWED_HOSTS", "control, *.example.org")

    assert Settings.load({"port": None}).port == 9001
    assert Settings.load({"port": 9002}).port == 9002
    assert Settings.load({}).host == "127.0.0.1"
    assert Settings.load({}).allowed_hosts == ("control", "*.example.org")


def test_a_wrong_value_is_named_by_option_and_variable_and_not_repeated() -> None:
    with pytest.raises(SetupError, match=r"--rate-limit \(or REFLEX_CONTROL_RATE_LIMIT\): must be above 0") as found:
        Settings.load({"rate_limit": -7777})

    assert "7777" not in str(found.value)


@pytest.mark.parametrize(
    ("given", "folder"),
    [("/data", Path("/data/reflex/control")), ("relative", None), ("", None)],
)
def test_the_data_folder_follows_the_users(given: str, folder: Path | None) -> None:
    expected = folder or Path.home() / ".local" / "share" / "reflex" / "control"

    assert default_data_folder({"XDG_DATA_HOME": given}) == expected


def test_the_data_folder_is_made_for_its_owner_and_refused_when_others_look_in(tmp_path: Path) -> None:
    settings = Settings.load({"data": tmp_path / "a" / "b"})
    settings.make_data_folder()
    assert settings.data.stat().st_mode & 0o777 == 0o700

    settings.data.chmod(0o750)
    with pytest.raises(SetupError, match="chmod 700"):
        settings.make_data_folder()


def test_the_stores_password_stands_in_no_text_of_the_settings() -> None:
    settings = Settings.load({"db": "postgresql+psycopg://reflex:hunter2@db/reflex"})

    assert "hunter2" not in repr(settings)
    assert settings.store_url.endswith("hunter2@db/reflex")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("public_url", "robots.lab"), ("public_url", "javascript:alert(1)"), ("public_url", "http://"),
        ("public_url", "http://a@b"), ("public_url", "http://a?b"), ("trusted_proxies", "proxy.lab"),
        ("trusted_proxies", "10.0.0.1/8"), ("public_rate_limit", 0),
    ],
)  # fmt: skip
def test_what_no_public_server_can_be_told_is_refused_by_its_option(option: str, value: object) -> None:
    with pytest.raises(SetupError, match=f"--{option.replace('_', '-')}"):
        Settings.load({option: value})


def test_proxies_are_addresses_and_networks() -> None:
    settings = Settings.load({"trusted_proxies": "10.0.0.7, fd00::/8", "public_url": "https://robots.lab/control/"})

    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.7/32", "fd00::/8"]
    assert settings.public_url == "https://robots.lab/control"


def test_a_slip_in_a_variable_is_told_and_what_is_anothers_is_none() -> None:
    environment = dict.fromkeys([*CONTROL_VARIABLES, "REFLEX_CONTROL_KEY", "REFLEX_PORT", "REFLEX_PROT"], "s3cret")

    assert list(unknown_variables(environment)) == []
    assert list(unknown_variables({**environment, "REFLEX_CONTROL_PROT": "s3cret"})) == [
        "REFLEX_CONTROL_PROT is no setting of `reflex control` and has no effect; did you mean REFLEX_CONTROL_PORT?"
    ]


def test_the_table_of_all_commands_has_every_setting_and_no_other() -> None:
    assert {f"REFLEX_CONTROL_{field.upper()}" for field in Settings.model_fields} == CONTROL_VARIABLES
