"""What every command takes and keeps to: --json, --verbose, one form of every error. Made from the parser's tree."""

from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

import reflex
from docs.commands import built_once
from reflex.api_keys import new_key
from reflex.cli import app
from reflex.cli.root import CommandError
from support.waiting import HANGS_S

Run = Callable[..., "Ended"]
ERROR = ["error", "message", "hint", "request_id"]


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not isinstance(command, TyperGroup):
        yield path, command
        return
    for name, child in command.commands.items():
        yield from leaves(child, (*path, name))


ROOT: Any = built_once(app)
"""Built once for hundreds of runs."""
COMMANDS = dict(leaves(ROOT))
NEEDING = [path for path, command in COMMANDS.items() if any(parameter.required for parameter in command.params)]
EVERY = pytest.mark.parametrize("path", COMMANDS, ids=" ".join)


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """`reflex` with these arguments, in this process."""

    def run(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            ROOT.main(list(arguments), prog_name="reflex")
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_the_tree_has_all_that_people_know() -> None:
    assert {("serve",), ("act",), ("keys", "confirm"), ("control", "backup"), ("robots", "pair")} <= COMMANDS.keys()
    assert len(COMMANDS) > 45


@EVERY
def test_every_command_takes_json_and_verbose(path: tuple[str, ...]) -> None:
    names = [name for parameter in COMMANDS[path].params for name in parameter.opts]

    assert sorted(name for name in names if name in ("--json", "--verbose", "-v")) == ["--json", "--verbose", "-v"]


def assert_usage(ended: Ended, path: tuple[str, ...]) -> None:
    value = json.loads(ended.out)
    assert (ended.code, ended.err) == (2, "")
    assert list(value) == ERROR
    assert (value["error"], value["request_id"]) == ("usage", None)
    assert value["message"]
    assert value["hint"] == f"see: reflex {' '.join(path)} --help"


@EVERY
def test_an_option_that_is_not_there_is_one_json_value_under_json(run: Run, path: tuple[str, ...]) -> None:
    assert_usage(run(*path, "--json", "--no-such-option"), path)
    assert_usage(run(*path, "--no-such-option", "1", "--json"), path)


@pytest.mark.parametrize("path", NEEDING, ids=" ".join)
def test_what_is_missing_is_one_json_value_under_json(run: Run, path: tuple[str, ...]) -> None:
    assert_usage(run(*path, "--json"), path)


@EVERY
def test_without_json_wrong_usage_is_text_on_stderr(run: Run, path: tuple[str, ...]) -> None:
    ended = run(*path, "--no-such-option")

    assert (ended.code, ended.out) == (2, "")
    assert "--no-such-option" in ended.err


@pytest.mark.slow
@EVERY
def test_verbose_says_what_runs_on_stderr_alone_and_only_while_it_does(
    run: Run, path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(COMMANDS[path], "callback", lambda **_given: typer.echo("done"))
    level = logging.getLogger("reflex").level
    for parameter in COMMANDS[path].params:
        monkeypatch.setattr(parameter, "required", False)

    assert run(*path) == Ended(0, "done\n", "")
    for option in ("-v", "--verbose"):
        ended = run(*path, option)
        assert (ended.code, ended.out) == (0, "done\n")
        assert f"reflex {reflex.__version__}, Python " in ended.err
        assert ended.err.endswith(f": reflex {' '.join(path)}\n")
    assert not logging.getLogger("reflex").handlers
    assert logging.getLogger("reflex").level == level


@pytest.mark.parametrize(
    ("trouble", "message"),
    [(typer.Abort(), "standard input has ended"), (CommandError("the terminal is gone"), "the terminal is gone")],
    ids=["a question that nobody answers", "what the parser's library raises"],
)
def test_what_ends_a_command_beside_our_own_errors_is_one_json_value_under_json(
    run: Run, monkeypatch: pytest.MonkeyPatch, trouble: Exception, message: str
) -> None:
    def fail(**_given: object) -> None:
        raise trouble

    monkeypatch.setattr(COMMANDS["whoami",], "callback", fail)
    ended = run("whoami", "--json")

    assert (ended.code, ended.err) == (1, "")
    assert json.loads(ended.out) == {"error": "setup", "message": message, "hint": None, "request_id": None}


@pytest.mark.slow
def test_an_interruption_is_one_json_value_under_json() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = [sys.executable, "-m", "reflex.cli", "check", url, "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            silent.settimeout(HANGS_S)
            connection, _ = silent.accept()  # from here on the command waits for its answer
            process.send_signal(signal.SIGINT)
            out, said = process.communicate(timeout=HANGS_S)
            connection.close()

    assert (process.returncode, said) == (130, b"")
    assert list(json.loads(out)) == ERROR
    assert json.loads(out)["error"] == "interrupted"


def test_what_follows_two_dashes_is_no_option(run: Run) -> None:
    ended = run("act", "--no-such-option", "--", "--json")

    assert (ended.code, ended.out) == (2, "")


def test_verbose_tells_each_request_and_never_the_key(run: Run) -> None:
    key = new_key()
    ended = run("status", "http://127.0.0.1:9", "-v", "--json", "--api-key", key)

    assert "GET http://127.0.0.1:9/health" in [json.loads(line)["event"] for line in ended.err.splitlines()]
    assert key not in ended.out + ended.err
    assert json.loads(ended.out)["error"] == "unreachable"
