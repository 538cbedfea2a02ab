"""`reflex receipts export` and `verify`: a whole chain to a file, and the first line that somebody touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from reflex.cli import app
from reflex.signed.receipts import FIRST_SEQ, GENESIS_HASH, line_of, seal, seal_header
from reflex.signed.signing import Keyset, SigningKey
from support.control.scripted import ScriptedControl, scripted_control

__all__ = ["scripted_control"]

RUNNER = CliRunner()
KEY = SigningKey.generate("kid-1")
KEYSET = Keyset.of([KEY.as_public()])
OTHERS = Keyset.of([SigningKey.generate("kid-1").as_public()])


def chain(count: int) -> list[bytes]:
    lines = [line_of(seal_header("org_1", KEYSET, FIRST_SEQ, FIRST_SEQ + count - 1, 0, KEY))]
    before = GENESIS_HASH
    for seq in range(FIRST_SEQ, FIRST_SEQ + count):
        body = {"id": f"rcpt_{seq}", "seq": seq, "kind": "promote", "organisation": "org_1",
                "timestamp": "2026-01-01T00:00:00.000Z"}  # fmt: skip
        sealed = seal(body, before, KEY)
        before = str(sealed["hash"])
        lines.append(line_of(sealed))
    return lines


LINES = chain(4)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    (tmp_path / "keyset.json").write_text(json.dumps(KEYSET.as_json()))
    (tmp_path / "others.json").write_text(json.dumps(OTHERS.as_json()))
    path = tmp_path / "receipts.jsonl"
    path.write_bytes(b"".join(LINES))
    return path


def verify(path: Path, *arguments: str) -> Result:
    return RUNNER.invoke(app, ["receipts", "verify", str(path), *arguments])


def test_a_whole_file_is_told_by_whose_keys_it_is_whole(exported: Path) -> None:
    keyset = exported.with_name("keyset.json")
    trusted, alone = verify(exported, "--keyset", str(keyset)), verify(exported)

    assert (trusted.exit_code, alone.exit_code) == (0, 0)
    assert trusted.stdout == f"whole: 4 receipts of org_1, by the keys of {keyset}\n"
    assert "by the keys of the file itself" in alone.stdout
    assert "--keyset" in alone.stderr
    assert json.loads(verify(exported, "--json").stdout)["keysFrom"] == "the file itself"


@pytest.mark.parametrize(
    ("lines", "bad_line"),
    [
        ([*LINES[:2], LINES[2].replace(b"promote", b"Promote"), *LINES[3:]], 3),
        ([*LINES[:2], *LINES[3:]], 3),
        ([LINES[0], LINES[2], LINES[1], *LINES[3:]], 2),
        (LINES[:4], 5),
    ],
    ids=["changed", "removed", "swapped", "cut"],
)
def test_the_first_line_that_is_wrong_is_named(exported: Path, lines: list[bytes], bad_line: int) -> None:
    exported.write_bytes(b"".join(lines))
    told, as_json = verify(exported), verify(exported, "--json")

    assert (told.exit_code, as_json.exit_code) == (1, 1)
    assert told.stdout.startswith(f"broken at line {bad_line}: ")
    assert json.loads(as_json.stdout)["badLine"] == bad_line


def test_a_file_under_other_keys_than_the_trusted_ones_is_broken(exported: Path) -> None:
    assert verify(exported, "--keyset", str(exported.with_name("others.json"))).exit_code == 1


def test_the_keys_are_asked_for_where_a_control_plane_is_named(
    scripted_control: ScriptedControl, exported: Path
) -> None:
    for keyset, code in ((KEYSET, 0), (OTHERS, 1)):
        scripted_control.answers["GET /v1/keyset"] = keyset.as_json()
        assert verify(exported, "--convex-url", scripted_control.url).exit_code == code


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    ended = verify(tmp_path / "none.jsonl")

    assert ended.exit_code == 1
    assert f"{tmp_path / 'none.jsonl'} cannot be read" in ended.stderr


def test_an_export_is_the_file_byte_for_byte(scripted_control: ScriptedControl, tmp_path: Path) -> None:
    scripted_control.answers["GET /v1/receipts/export"] = b"".join(LINES)
    path = tmp_path / "out.jsonl"
    export = ["receipts", "export", "--api-key", "rfx_mine"]

    assert RUNNER.invoke(app, [*export, "--jsonl"]).stdout_bytes == b"".join(LINES)
    assert json.loads(RUNNER.invoke(app, [*export, "-o", str(path), "--json"]).stdout) == {
        "file": str(path), "bytes": len(path.read_bytes()),
    }  # fmt: skip
    assert path.read_bytes() == b"".join(LINES)
    assert RUNNER.invoke(app, [*export, "-o", str(tmp_path / "none" / "x")]).exit_code == 1
