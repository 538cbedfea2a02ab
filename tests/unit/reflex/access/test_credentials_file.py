"""The credentials file: its owner's alone, whole or not there, and never repeated in an error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reflex.access.credentials_file import (
    Credentials,
    credentials_path,
    forget_credentials,
    read_credentials,
    write_credentials,
)
from reflex.errors import SetupError

BOTH = Credentials("rfx_secret", "https://control.example")


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"HOME": "/h"}, "/h/.config/reflex/credentials.json"),
        ({"HOME": "/h", "REFLEX_CONFIG_DIR": "/d"}, "/d/credentials.json"),
        ({"HOME": "/h", "REFLEX_CONFIG_DIR": "~/d"}, "/h/d/credentials.json"),
        ({"HOME": "/h", "REFLEX_CONFIG_DIR": "/d", "REFLEX_CONFIG_FILE": "/f.json"}, "/f.json"),
        ({"HOME": "/h", "REFLEX_CONFIG_DIR": "", "REFLEX_CONFIG_FILE": ""}, "/h/.config/reflex/credentials.json"),
    ],
)
def test_the_file_is_named_by_the_environment_or_lies_at_home(environment: dict[str, str], path: str) -> None:
    assert credentials_path(environment) == Path(path)


@pytest.mark.parametrize("credentials", [BOTH, Credentials("rfx_a"), Credentials(None, "http://u"), Credentials()])
def test_what_was_written_reads_back_as_its_owners_alone(tmp_path: Path, credentials: Credentials) -> None:
    path = tmp_path / "new" / "deep" / "credentials.json"
    write_credentials(path, Credentials("before", "before"))
    write_credentials(path, credentials)
    assert read_credentials(path) == credentials
    assert [mode_of(each) for each in (path, path.parent, path.parent.parent)] == [0o600, 0o700, 0o700]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o610])
def test_a_file_that_others_can_read_or_write_is_refused_with_what_to_do(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "credentials.json"
    write_credentials(path, BOTH)
    path.chmod(mode)
    with pytest.raises(SetupError, match=f"chmod 600 {path}"):
        read_credentials(path)


def test_a_link_is_replaced_and_what_it_led_to_stays_as_it_was(tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / "credentials.json"
    other.write_text("mine")
    path.symlink_to(other)
    write_credentials(path, BOTH)
    assert other.read_text() == "mine"
    assert not path.is_symlink()
    assert read_credentials(path) == BOTH


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "credentials.json"
    write_credentials(path, BOTH)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SetupError, match=r"cannot be written .No space"):
        write_credentials(path, Credentials("rfx_new"))
    assert read_credentials(path) == BOTH
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "text",
    [b"", b"rfx_secret", b"[]", b'"rfx_secret"', b'{"apiKey": ["rfx_secret"]}', b"\xffrfx_secret", b"[" * 60_000],
)
def test_a_file_of_something_else_is_told_and_not_repeated(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "credentials.json"
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(SetupError, match="reflex login") as caught:
        read_credentials(path)
    assert "secret" not in f"{caught.value}{caught.value.__cause__}"


def test_no_file_is_none_and_what_is_no_file_holds_nobody_up(tmp_path: Path) -> None:
    assert read_credentials(tmp_path / "no" / "credentials.json") is None
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(SetupError, match="credentials file"):
            read_credentials(path)


def test_forgetting_removes_the_file_and_says_whether_there_was_one(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    write_credentials(path, BOTH)
    assert [forget_credentials(path), forget_credentials(path)] == [True, False]
    assert read_credentials(path) is None


def test_a_key_does_not_stand_in_the_text_of_its_object() -> None:
    assert "secret" not in repr(BOTH)
