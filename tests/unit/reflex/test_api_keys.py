"""How a key looks, what is stored of it, and what a key file may hold."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
from pathlib import Path

import pytest

from reflex.api_keys import KeyEntry, add_entry, digest_of, is_well_formed, new_key, parse_key_file, read_key_file
from reflex.errors import SetupError

DIGEST = bytes(range(32))
HASH = DIGEST.hex()
ENTRY = KeyEntry("arm", DIGEST)


def test_a_key_is_the_prefix_thirty_random_characters_and_their_checksum() -> None:
    keys = {new_key() for _ in range(1000)}
    assert len(keys) == 1000
    assert all(re.fullmatch(r"rfx_[0-9A-Za-z]{36}", key) and is_well_formed(key) for key in keys)


def test_a_checksum_is_the_same_on_every_version() -> None:
    # The CRC-32 of thirty zeros is 2011552642, which in base 62 (0-9, A-Z, a-z) is 2C8GjS.
    assert is_well_formed("rfx_" + "0" * 30 + "2C8GjS")


def test_a_mistyped_key_is_told() -> None:
    key = new_key()
    for at in range(4, len(key)):
        other = "A" if key[at] != "A" else "B"
        assert not is_well_formed(key[:at] + other + key[at + 1 :])
    for broken in ("", key[:-1], key + "0", key.replace("rfx_", "sk-_"), key[:-1] + "é"):
        assert not is_well_formed(broken)


def test_what_is_stored_is_a_keyed_hash_and_not_that_of_the_key_alone() -> None:
    assert digest_of(b"key") == hmac.new(b"reflex api key 1", b"key", hashlib.sha256).digest()
    assert digest_of(b"key") != hashlib.sha256(b"key").digest()


def test_a_file_has_entries_comments_and_blank_lines() -> None:
    other = "f" * 64
    text = f"# robots\n\narm-1 hmac-sha256:{HASH} limit=2.5  # the left one\r\n  arm-1\thmac-sha256:{other}\n"
    assert parse_key_file(text.encode()) == (
        KeyEntry("arm-1", DIGEST, 2.5),
        KeyEntry("arm-1", bytes.fromhex(other), None),
    )


@pytest.mark.parametrize("line", [
    "rfx_secretsecretsecretsecret", f"arm hmac-sha256:{HASH[:-1]}", f"arm sha256:{HASH}", f"hmac-sha256:{HASH}",
    f"a/b hmac-sha256:{HASH}", f"arm hmac-sha256:{HASH} limit=0", f"arm hmac-sha256:{HASH} limit=-1",
    f"arm hmac-sha256:{HASH} limit=nan", f"arm hmac-sha256:{HASH} limit=1e3", f"arm hmac-sha256:{HASH} scope=act",
    f"arm hmac-sha256:{HASH.upper()}", f"arm hmac-sha256:{HASH} limit=9999999",
])  # fmt: skip
def test_a_line_that_is_no_entry_is_named_and_not_repeated(line: str) -> None:
    with pytest.raises(SetupError, match="line 2 of the key file") as caught:
        parse_key_file(f"# keys\n{line}\n".encode())
    assert "secret" not in str(caught.value)
    assert HASH[:16] not in str(caught.value)


def test_a_key_that_is_there_twice_is_refused() -> None:
    with pytest.raises(SetupError, match=r"line 2 .* there already"):
        parse_key_file(f"a hmac-sha256:{HASH}\nb hmac-sha256:{HASH}\n".encode())


def test_a_file_that_is_no_text_is_refused() -> None:
    with pytest.raises(SetupError, match="UTF-8"):
        parse_key_file(b"\xff\xfe")


@pytest.mark.parametrize("limit", [None, 5.0, 0.25, 1e6, 0.001])
def test_an_entry_reads_back_as_it_was_added(tmp_path: Path, limit: float | None) -> None:
    path = tmp_path / "keys"
    path.write_text("# without an end of line")
    add_entry(path, KeyEntry("a", DIGEST, limit))
    add_entry(path, KeyEntry("b", bytes(32)))
    assert parse_key_file(path.read_bytes()) == (KeyEntry("a", DIGEST, limit), KeyEntry("b", bytes(32)))
    assert path.read_text().startswith("# without an end of line\n")


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    add_entry(tmp_path / "keys", KeyEntry("a", DIGEST))
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("buy milk\n")
    with pytest.raises(SetupError):
        add_entry(path, KeyEntry("a", DIGEST))
    assert path.read_text() == "buy milk\n"


@pytest.mark.parametrize("path", [".", "no/such/folder/keys"])
def test_a_file_that_cannot_be_written_says_why(tmp_path: Path, path: str) -> None:
    with pytest.raises(SetupError, match="cannot write the key file"):
        add_entry(tmp_path / path, KeyEntry("a", DIGEST))


def test_a_file_that_is_far_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"#" * 300_000)
    with pytest.raises(SetupError, match="longer than 256 KiB"):
        add_entry(tmp_path / "keys", KeyEntry("a", DIGEST))


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_holds_nobody_up_and_is_refused(tmp_path: Path, kind: str) -> None:
    path = Path("/dev/zero") if kind == "device" else tmp_path / kind
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(SetupError, match=f"the key file {re.escape(str(path))} is no file"):
        read_key_file(path)


def test_a_file_that_every_user_may_write_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    add_entry(path, ENTRY)
    for mode in (0o600, 0o640, 0o664, 0o444):
        path.chmod(mode)
        assert parse_key_file(read_key_file(path)) == (ENTRY,)
    for mode in (0o666, 0o602):
        path.chmod(mode)
        with pytest.raises(SetupError, match=f"chmod o-w {path}"):
            read_key_file(path)


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o600), (0o604, 0o600), (0o640, 0o640), (0o600, 0o600)])
def test_a_file_that_everybody_might_read_becomes_its_owners_with_a_new_key(
    tmp_path: Path, before: int, after: int
) -> None:
    path = tmp_path / "keys"
    path.touch()
    path.chmod(before)
    add_entry(path, ENTRY)
    assert stat.S_IMODE(path.stat().st_mode) == after
