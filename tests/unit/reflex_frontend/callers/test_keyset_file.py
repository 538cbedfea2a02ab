"""A keyset in a file counts as it stands there now, and none that is damaged ever does."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex.signed.signing import Keyset, SigningKey
from reflex_frontend.callers.keyset_file import KeysetFile, require_signatures
from support.clock import Clock, clock

__all__ = ["clock"]

ONE, OTHER = SigningKey.generate("one"), SigningKey.generate("other")


def write(file: Path, *keys: SigningKey) -> Path:
    file.write_text(json.dumps(Keyset.of(key.as_public() for key in keys).as_json()))
    return file


def test_keys_that_come_and_go_are_seen(tmp_path: Path, clock: Clock) -> None:
    keyset_file = KeysetFile.read(write(tmp_path / "keyset", ONE), clock)
    first = keyset_file.keyset
    keyset_file.file.look()
    assert keyset_file.keyset is first
    write(tmp_path / "keyset", OTHER)
    keyset_file.file.look()

    assert set(keyset_file.keyset.keys) == {"other"}
    assert keyset_file.stale is None


@pytest.mark.parametrize("damage", ["gone", "", "{}", '{"keys": []}', "[]", "\udcff", "open to all"])
def test_while_it_is_damaged_the_last_keys_hold_on(tmp_path: Path, clock: Clock, damage: str) -> None:
    file = write(tmp_path / "keyset", ONE)
    keyset_file = KeysetFile.read(file, clock)
    if damage == "gone":
        file.unlink()
    elif damage == "open to all":
        file.chmod(0o666)
    else:
        file.write_text(damage, errors="surrogateescape")
    keyset_file.file.look()

    assert set(keyset_file.keyset.keys) == {"one"}
    assert keyset_file.stale == "the keyset file is missing or damaged; the last keys hold on"
    asyncio.run(keyset_file.renew())


@pytest.mark.parametrize("content", [None, "", "rfx_secret", '{"keys": []}', '{"keys": [{"kid": "a"}]}'])
def test_a_server_does_not_start_with_what_is_no_keyset(tmp_path: Path, clock: Clock, content: str | None) -> None:
    file = tmp_path / "keyset"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SetupError, match=rf"--session-key {file}: .*key") as raised:
        KeysetFile.read(file, clock)
    assert "rfx_secret" not in str(raised.value)


def test_without_the_package_a_start_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    require_signatures()
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    with pytest.raises(SetupError, match=r"cryptography.*pip install.*serve"):
        require_signatures()
