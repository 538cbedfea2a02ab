"""`reflex keys new`: the key on stdout once, its hash in the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reflex.api_keys import digest_of, is_well_formed, parse_key_file
from reflex.cli import app

RUNNER = CliRunner()


def test_the_key_is_on_stdout_alone_and_its_hash_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    ended = RUNNER.invoke(app, ["keys", "new", "--name", "arm-1", "--file", str(file), "--limit", "20"])
    key = ended.stdout.removesuffix("\n")
    assert ended.exit_code == 0
    assert is_well_formed(key)
    (entry,) = parse_key_file(file.read_bytes())
    assert (entry.name, entry.digest, entry.limit_per_s) == ("arm-1", digest_of(key.encode()), 20.0)
    assert key not in ended.stderr
    assert key not in file.read_text()


def test_a_second_key_is_added_under_the_same_name(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    for _ in range(2):
        assert RUNNER.invoke(app, ["keys", "new", "--name", "arm", "--file", str(file)]).exit_code == 0
    assert [entry.name for entry in parse_key_file(file.read_bytes())] == ["arm", "arm"]


def test_json_is_one_value(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    ended = RUNNER.invoke(app, ["keys", "new", "--name", "arm", "--file", str(file), "--json"])
    value = json.loads(ended.stdout)
    assert is_well_formed(value.pop("key"))
    assert value == {"name": "arm", "file": str(file), "limit_per_s": None}


def test_the_file_may_come_from_the_servers_variable(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    assert RUNNER.invoke(app, ["keys", "new", "--name", "a"], env={"REFLEX_API_KEYS": str(file)}).exit_code == 0
    assert file.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--name", "a b"], "the name of a key"),
        (["--name", "-a"], "the name of a key"),
        (["--name", "a"], "--file FILE"),
        (["--name", "a", "--file", "/no/such/folder/keys"], "make the folder first: mkdir -p /no/such/folder"),
    ],
)
def test_what_cannot_be_is_said_and_no_key_is_printed(arguments: list[str], says: str) -> None:
    ended = RUNNER.invoke(app, ["keys", "new", *arguments], env={"REFLEX_API_KEYS": None})
    assert ended.exit_code == 1
    assert says in ended.stderr
    assert ended.stdout == ""


def test_a_file_that_is_no_key_file_is_named_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    file.write_text("# a comment\nsome text\n")
    ended = RUNNER.invoke(app, ["keys", "new", "--name", "a", "--file", str(file)])
    assert ended.exit_code == 1
    assert f"{file}: line 2 of the key file" in ended.stderr


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_a_limit_that_is_none_is_a_usage_error(tmp_path: Path, limit: str) -> None:
    arguments = ["keys", "new", "--name", "a", "--file", str(tmp_path / "keys"), "--limit", limit]
    assert RUNNER.invoke(app, arguments).exit_code == 2
    assert not (tmp_path / "keys").exists()
