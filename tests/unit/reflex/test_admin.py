"""Where a server leaves its admin token: for its own user alone, and only as long as it runs."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from reflex.admin import admin_file, forget_admin, publish_admin, read_admin
from reflex.errors import SetupError


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path / "run" / "reflex"


def test_what_is_published_is_read_back() -> None:
    path = publish_admin(8090, "s3cret")
    assert path == admin_file(8090)
    address = read_admin(8090)
    assert (address.url, address.token) == ("http://127.0.0.1:8090", "s3cret")


def test_the_file_is_for_its_user_alone_whatever_the_umask(runtime: Path) -> None:
    before = os.umask(0)
    try:
        path = publish_admin(8090, "s3cret")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
    assert [file.name for file in runtime.iterdir()] == ["admin-8090.json"]


def test_a_file_of_before_is_replaced_with_its_mode() -> None:
    path = publish_admin(8090, "old")
    path.chmod(0o644)
    publish_admin(8090, "new")
    assert read_admin(8090).token == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_token_is_not_shown_by_accident() -> None:
    publish_admin(8090, "s3cret")
    assert "s3cret" not in repr(read_admin(8090))


def test_a_server_removes_its_own_file_and_no_others() -> None:
    path = publish_admin(8090, "mine")
    path.write_text(json.dumps({"url": "http://127.0.0.1:8090", "token": "theirs", "pid": os.getpid() + 1}))
    forget_admin(8090)
    assert read_admin(8090).token == "theirs"
    publish_admin(8090, "mine")
    forget_admin(8090)
    assert not path.exists()


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '"text"'])
def test_forgetting_what_is_gone_or_damaged_is_no_error(content: str | None) -> None:
    path = publish_admin(8090, "mine")
    path.unlink() if content is None else path.write_text(content)
    forget_admin(8090)


def test_without_a_server_the_command_says_what_to_do() -> None:
    with pytest.raises(SetupError, match=r"no server of this user with the admin port 8091 .*--admin-port"):
        read_admin(8091)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"url": "x"}', '"text"', "\udcff"])
def test_a_damaged_file_is_said(content: str) -> None:
    publish_admin(8090, "x").write_text(content, errors="surrogateescape")
    with pytest.raises(SetupError, match="cannot be read; start the server again"):
        read_admin(8090)


def test_a_folder_of_ours_that_others_could_open_is_closed_to_them(runtime: Path) -> None:
    runtime.mkdir(parents=True)
    runtime.chmod(0o755)
    publish_admin(8090, "s3cret")
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o700


def test_a_file_that_somebody_holds_open_never_gets_the_token(runtime: Path) -> None:
    runtime.mkdir(parents=True, mode=0o777)
    with (runtime / f"admin-8090.{os.getpid()}").open("w+") as held, (runtime / "admin-8090.json").open("w+") as old:
        publish_admin(8090, "s3cret")
        assert (held.read(), old.read()) == ("", "")
    assert read_admin(8090).token == "s3cret"


def test_a_link_that_somebody_laid_is_not_followed(runtime: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    runtime.parent.mkdir()
    runtime.symlink_to(tmp_path / "theirs")
    with pytest.raises(SetupError, match="belongs to somebody else"):
        publish_admin(8090, "s3cret")
    assert list((tmp_path / "theirs").iterdir()) == []


def test_a_place_that_cannot_be_written_is_said_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "file"))
    with pytest.raises(SetupError, match="set XDG_RUNTIME_DIR"):
        publish_admin(8090, "s3cret")


def test_without_a_runtime_directory_the_folder_is_the_users_own_in_the_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert admin_file(8090) == tmp_path / f"reflex-{os.getuid()}" / "admin-8090.json"


@pytest.mark.parametrize(
    "url",
    ["http://evil.example:8090", "http://127.0.0.1:8090@evil.example", "https://127.0.0.1:8090", "", "http://[::1]:1"],
)
def test_an_address_that_is_not_on_this_machine_gets_no_token(url: str) -> None:
    path = publish_admin(8090, "s3cret")
    path.write_text(json.dumps({"url": url, "token": "theirs", "pid": 1}))
    with pytest.raises(SetupError, match="another address"):
        read_admin(8090)


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_file_that_somebody_else_has_put_there_is_not_trusted(
    what: str, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = publish_admin(8090, "s3cret")
    if what == "file":
        moved = path.rename(path.with_name("elsewhere"))
        path.symlink_to(moved)
    else:
        monkeypatch.setattr(os, "getuid", lambda: runtime.stat().st_uid + 1)
    with pytest.raises(SetupError, match="belongs to somebody else"):
        read_admin(8090)
