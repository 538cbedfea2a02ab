"""`reflex control` as its operator meets it: the first start, a stop, a backup and what is restored of it."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from sqlalchemy import select
from typer.testing import CliRunner

from reflex.cli import app
from reflex.cli.control import server
from reflex.wording.install import install_line
from reflex_control import serve
from reflex_control.store.database import sqlite_url
from reflex_control.store.migrating import open_store
from reflex_control.store.tables import api_key
from support.outside.control_plane import running_control
from support.waiting import HANGS_S

KEY = re.compile(r"rfx_[0-9A-Za-z]{36}")
IMPORTS_EVERYTHING = """
import importlib, pkgutil, sys
for name in ("numpy", "PIL"):
    sys.modules[name] = None
import reflex_control, reflex.cli
found = [each.name for each in pkgutil.walk_packages(reflex_control.__path__, "reflex_control.")]
for name in found:
    if ".migrations" not in name:
        importlib.import_module(name)
print(len(found))
"""
"""But numpy and Pillow, which its image lacks: it sees no image and no array."""


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def reflex(*arguments: str) -> Done:
    """`reflex control` in this process, which has loaded already what one of its own takes a second to load."""
    done = CliRunner().invoke(app, ["control", *arguments])
    return Done(done.exit_code, done.stdout, done.stderr)


def names_in(data: Path) -> set[str]:
    """Of the keys in a store that nobody serves."""
    store = open_store(sqlite_url(data / "control.db"))
    with store.reading() as connection:
        names = set(connection.scalars(select(api_key.c.name)))
    store.close()
    return names


def test_the_first_start_hands_out_one_key_and_no_later_one_does(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_control(data) as control:
        keys = KEY.findall(control.log)
        told = control.ask("GET", "/v1/whoami", keys[0]).json()
        assert control.stop() == 0
    with running_control(data) as control:
        again = KEY.findall(control.log)
        assert control.ask("GET", "/v1/whoami", keys[0]).status_code == 200
        assert reflex("restore", str(tmp_path / "none.db"), "--data", str(data)).returncode == 1

    assert again == keys
    assert set(told["key"]["scopes"]) == {"read", "write", "sessions", "promote", "train", "admin"}
    assert data.stat().st_mode & 0o777 == 0o700


def test_without_a_first_key_the_log_holds_none_and_it_is_made_beside_the_server(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_control(data, "--no-first-key") as control:
        before, warned = KEY.findall(control.log), "reflex control init" in control.log
        made = reflex("init", "--data", str(data))
        [key] = KEY.findall(made.stdout)
        again = reflex("init", "--data", str(data))
        status = control.ask("GET", "/v1/whoami", key).status_code
        assert control.stop() == 0
        log = control.log

    assert (before, warned, KEY.findall(log)) == ([], True, [])
    assert (made.returncode, again.returncode, again.stdout, status) == (0, 1, "", 200)


@pytest.mark.slow
def test_a_store_is_made_backed_up_while_it_is_served_and_restored(tmp_path: Path) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup.db"
    made = reflex("init", "--data", str(data))
    key = KEY.findall(made.stdout)[0]
    assert reflex("init", "--data", str(data)).returncode == 1
    with running_control(data) as control:
        kept, lost = ({"name": name, "scopes": ["read"]} for name in ("kept", "lost"))
        kept_key = control.ask("POST", "/v1/keys", key, json=kept).json()["key"]
        assert reflex("backup", str(backup), "--data", str(data)).returncode == 0
        lost_key = control.ask("POST", "/v1/keys", key, json=lost).json()["key"]
        assert reflex("backup", str(tmp_path), "--keep", "1", "--data", str(data)).returncode == 0
        assert len(list(tmp_path.glob("control-*Z.db"))) == 1
        held = reflex("restore", str(backup), "--data", str(data))
        assert (held.returncode, "another reflex control" in held.stderr) == (1, True)
        assert held.stderr.endswith("stop it, or name another folder with --data\n")
    command = [sys.executable, "-m", "reflex.cli", "control"]
    sent = subprocess.run([*command, "backup", "-", "--data", str(data)], capture_output=True, check=True).stdout
    assert sent.startswith(b"SQLite format 3\0")
    assert reflex("restore", str(backup), "--data", str(data)).returncode == 0
    assert names_in(data) == {"admin", "kept"}
    subprocess.run([*command, "restore", "-", "--data", str(data)], input=sent, capture_output=True, check=True)
    assert names_in(data) == {"admin", "kept", "lost"}
    assert reflex("restore", str(backup), "--data", str(data)).returncode == 0
    assert sorted(path.name for path in data.iterdir() if path.name != "log") == ["control.db", "control.lock"]
    assert reflex("migrate", "--data", str(data)).returncode == 0
    with running_control(data) as control:
        statuses = [control.ask("GET", "/v1/whoami", each).status_code for each in (key, kept_key, lost_key)]
        assert statuses == [200, 200, 401]


def test_a_stop_leaves_time_for_what_is_in_flight() -> None:
    assert 0 < serve.DRAIN_S < 10


@pytest.mark.slow
def test_headers_and_bodies_that_do_not_come_are_not_waited_for(tmp_path: Path) -> None:
    with running_control(tmp_path / "data") as control:
        key = KEY.findall(control.log)[0].encode()
        begun = [
            b"GET /v1/whoami HTTP/1.1\r\nhost: 127.0.0.1\r\n",
            b"POST /v1/keys HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer " + key
            + b"\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
        ]  # fmt: skip
        port = int(control.base_url.rpartition(":")[2])
        connections = [socket.create_connection(("127.0.0.1", port), timeout=HANGS_S) for _ in begun]
        for connection, sent in zip(connections, begun, strict=True):
            connection.sendall(sent)
        answers = [connection.recv(65536) for connection in connections]
        for connection in connections:
            connection.close()

    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 408"] * 2


def test_a_wrong_setting_is_told_in_one_sentence(tmp_path: Path) -> None:
    wrong = reflex("serve", "--data", str(tmp_path / "data"), "--db", "mysql://db/reflex")

    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith("reflex: --db ")
    assert "Traceback" not in wrong.stderr


def test_the_extra_that_is_missing_is_named_as_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    for name in [name for name in sys.modules if name.startswith("reflex_control")]:
        monkeypatch.delitem(sys.modules, name)

    with pytest.raises(typer.Exit):
        server.migrate()

    assert install_line("control") in capsys.readouterr().err


def test_every_module_loads_without_numpy_and_pillow() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS_EVERYTHING], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30
