"""`reflex keys list`, `revoke` and `rotate`: what they print, and what they leave of the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from reflex.api_keys import KeyEntry, add_entry, digest_of, is_well_formed, parse_key_file
from reflex.cli import app
from support.control.scripted import ScriptedControl, scripted_control

__all__ = ["scripted_control"]

RUNNER = CliRunner()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Keys of two arms, arm-1 with two of them, among comments."""
    path = tmp_path / "keys"
    path.write_text("# of the lab\n")
    for name, limit in (("arm-1", 20.0), ("arm-2", None), ("arm-1", 5.0)):
        add_entry(path, KeyEntry(name, digest_of(f"{name} {limit}".encode()), limit))
    return path


def ask(file: Path, *arguments: str) -> Result:
    return RUNNER.invoke(app, ["keys", *arguments, "--file", str(file)])


def names(file: Path) -> list[str]:
    return [entry.name for entry in parse_key_file(file.read_bytes())]


def test_the_list_names_each_key_with_its_limit_and_holds_none(file: Path) -> None:
    lines = [line.split("  ") for line in ask(file, "list").stdout.splitlines()]

    assert [(name, limit) for name, _, limit in lines] == [
        ("arm-1", "20 per second"), ("arm-2", "no limit"), ("arm-1", "5 per second"),
    ]  # fmt: skip
    assert len({identity for _, identity, _ in lines}) == 3


def test_the_list_as_json_is_one_value(file: Path) -> None:
    value = json.loads(ask(file, "list", "--json").stdout)

    assert value["file"] == str(file)
    assert [key["limit_per_s"] for key in value["keys"]] == [20.0, None, 5.0]


def test_an_empty_file_is_said_to_let_nobody_in(file: Path) -> None:
    file.write_text("# nobody\n")
    ended = ask(file, "list")

    assert (ended.exit_code, ended.stdout) == (0, "")
    assert "lets nobody in" in ended.stderr


def test_revoke_says_how_many_keys_it_took_back(file: Path) -> None:
    assert "took back 2 keys of arm-1" in ask(file, "revoke", "arm-1").stderr
    assert names(file) == ["arm-2"]
    assert json.loads(ask(file, "revoke", "arm-2", "--json").stdout) == {
        "name": "arm-2", "revoked": 1, "file": str(file),
    }  # fmt: skip


def test_a_rotated_key_has_name_and_limit_of_the_old_one_which_works_on(file: Path) -> None:
    ended = ask(file, "rotate", "arm-1")
    key = ended.stdout.removesuffix("\n")
    newest = parse_key_file(file.read_bytes())[-1]

    assert is_well_formed(key)
    assert newest == KeyEntry("arm-1", digest_of(key.encode()), 5.0)
    assert names(file) == ["arm-1", "arm-2", "arm-1", "arm-1"]
    assert "reflex keys revoke arm-1 --keep-newest" in ended.stderr
    assert key not in ended.stderr

    assert ask(file, "revoke", "arm-1", "--keep-newest").exit_code == 0
    assert parse_key_file(file.read_bytes())[-1] == newest
    assert names(file) == ["arm-2", "arm-1"]


@pytest.mark.parametrize("command", [["revoke", "arm-9"], ["rotate", "arm-9"]])
def test_a_name_without_a_key_is_refused_and_the_file_stays(file: Path, command: list[str]) -> None:
    before = file.read_bytes()
    ended = ask(file, *command)

    assert ended.exit_code == 1
    assert "has no key of arm-9" in ended.stderr
    assert file.read_bytes() == before


@pytest.mark.parametrize("command", [["list"], ["revoke", "a"], ["rotate", "a"]])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, command: list[str]) -> None:
    ended = ask(tmp_path / "none", *command)

    assert ended.exit_code == 1
    assert f"cannot read the key file {tmp_path / 'none'}: No such file" in ended.stderr


def test_without_a_file_it_is_the_control_plane_and_who_has_no_key_there_is_told_the_option(
    scripted_control: ScriptedControl,
) -> None:
    ended = RUNNER.invoke(app, ["keys", "list"], env={"REFLEX_API_KEYS": None})

    assert ended.exit_code == 3
    assert ended.stderr.startswith("reflex: API key is required. Run 'reflex login' or set REFLEX_API_KEY.\n")
    assert "--file FILE" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "route", "body"),
    [
        (["list"], "GET /v1/keys", None),
        (["revoke", "key_1", "--reason", "lost"], "POST /v1/keys/key_1/revoke", {"reason": "lost"}),
        (["rotate", "key_1"], "POST /v1/keys/key_1/rotate", {"overlapSeconds": 3600}),
    ],
)
def test_an_option_of_the_control_plane_counts_for_more_than_the_variable_of_a_file(
    scripted_control: ScriptedControl, file: Path, arguments: list[str], route: str, body: object
) -> None:
    scripted_control.answers[route] = {"keys": [], "id": "key_1", "name": "a", "revokedAt": "now", "key": "rfx_new"}
    before = file.read_bytes()
    ended = RUNNER.invoke(app, ["keys", *arguments, "--api-key", "rfx_mine"], env={"REFLEX_API_KEYS": str(file)})

    assert (ended.exit_code, file.read_bytes()) == (0, before)
    assert [(each.route, each.body) for each in scripted_control.received] == [(route, body)]


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--file", "keys", "--api-key", "rfx_mine"],
        ["revoke", "arm-1", "--file", "keys", "--convex-url", "http://127.0.0.1:9"],
        ["revoke", "arm-1", "--file", "keys", "--reason", "lost"],
        ["rotate", "arm-1", "--file", "keys", "--overlap-seconds", "3600"],
        ["revoke", "key_1", "--keep-newest"],
    ],
)
def test_options_of_the_two_kinds_of_keys_do_not_go_together(arguments: list[str]) -> None:
    ended = RUNNER.invoke(app, ["keys", *arguments], env={"REFLEX_API_KEYS": None})

    assert ended.exit_code == 2
    assert "file" in ended.stderr
