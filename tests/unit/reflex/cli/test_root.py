"""Wrong usage is one JSON value under `--json`, and a full disk one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from support.waiting import HANGS_S

RUNNER = CliRunner()
WRONG = [
    (["act"], "INSTRUCTION"),
    (["split", "500"], "PERCENT"),
    (["split", "many"], "PERCENT"),
    (["replay", "x", "--limit", "-1"], "limit"),
    (["verify", "/no/such/folder"], "no/such"),
    (["act", "wave", "--state", "a,b"], "a,b"),
    (["act", "wave", "--colour", "red"], "--colour"),
    (["keys", "new", "--name", "a", "--limit", "0"], "limit"),
    (["fly"], "fly"),
    (["keys", "sing"], "sing"),
]


@pytest.mark.parametrize(("arguments", "named"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_wrong_usage_is_one_json_value_where_json_was_asked_for(arguments: list[str], named: str) -> None:
    ended = RUNNER.invoke(app, [*arguments, "--json"])

    value = json.loads(ended.stdout)
    assert (ended.exit_code, ended.stderr) == (2, "")
    assert (value["error"], value["request_id"]) == ("usage", None)
    assert named in value["message"]


@pytest.mark.parametrize(("arguments", "named"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_without_json_it_is_text_for_a_person(arguments: list[str], named: str) -> None:
    ended = RUNNER.invoke(app, arguments)

    assert (ended.exit_code, ended.stdout) == (2, "")
    assert named in ended.stderr


def test_a_command_that_succeeds_or_fails_ends_as_ever_under_json(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    assert RUNNER.invoke(app, ["keys", "new", "--name", "a", "--file", str(file), "--json"]).exit_code == 0
    assert RUNNER.invoke(app, ["keys", "revoke", "b", "--file", str(file), "--json"]).exit_code == 1


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["keys", "list"], ["keys", "list", "--json"]])
def test_a_full_disk_is_one_sentence(tmp_path: Path, arguments: list[str]) -> None:
    (file := tmp_path / "keys").write_text(f"arm hmac-sha256:{'0' * 64}\n")
    given = [*arguments, "--file", str(file)] if "list" in arguments else arguments
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "reflex.cli", *given],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=HANGS_S,
        )  # fmt: skip

    assert ended.returncode == 1
    assert ended.stderr == "reflex: the output cannot be written: No space left on device\n"
