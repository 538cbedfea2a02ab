from __future__ import annotations

from pathlib import Path

import pytest

from lerobot_policy_reflex.keys import key_source
from reflex.errors import SetupError


def test_the_key_of_the_environment_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFLEX_API_KEY", "rk_one")
    assert key_source(None) == "rk_one"

    for value in ("", None):
        monkeypatch.delenv("REFLEX_API_KEY") if value is None else monkeypatch.setenv("REFLEX_API_KEY", value)
        assert key_source(None) is None


def test_a_file_is_read_anew_for_each_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFLEX_API_KEY", "rk_environment")
    file = tmp_path / "key"
    file.write_text("rk_one\n")
    key_now = key_source(str(file))
    assert callable(key_now)

    assert key_now() == "rk_one"
    file.write_text("rk_two\n")
    assert key_now() == "rk_two"


def test_a_file_that_is_not_there_or_empty_is_told_before_anything_moves(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read"):
        key_source(str(tmp_path / "missing"))
    (tmp_path / "empty").write_text(" \n")
    with pytest.raises(SetupError, match="is empty"):
        key_source(str(tmp_path / "empty"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SetupError, match="cannot be read"):
        key_source(str(tmp_path / "binary"))
