"""What is wrong with a start is said before anything is started."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex.errors import SetupError
from reflex_frontend.beforehand import check_beforehand
from reflex_frontend.settings import Settings
from reflex_frontend.triton.backend import TritonBackend

WRONG: Mapping[str, tuple[list[str], str]] = {
    "no key file": (["--api-keys", "{}/absent"], "the key file cannot be read"),
    "a key file without keys": (["--api-keys", "{}/file"], "holds no key"),
    "recordings on a file": (["--record", "{}/file"], "--record: the directory cannot be made"),
    "recordings under a file": (["--record", "{}/file/under"], "--record: the directory cannot be made"),
    "no extra": (["--otel-endpoint", "http://127.0.0.1:9"], "traces need OpenTelemetry, which is not installed"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_work_is_said_before_triton_is_started(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def started(_: TritonBackend) -> None:
        pytest.fail("Triton was started")

    monkeypatch.setattr(TritonBackend, "start", started)
    monkeypatch.delitem(sys.modules, "reflex_frontend.observing.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    (tmp_path / "file").touch()
    options, sentence = WRONG[what]

    ended = CliRunner().invoke(app, ["serve", "--port", "0", *(option.format(tmp_path) for option in options)])

    assert ended.exit_code == 1
    assert sentence in ended.stderr


def test_what_can_work_is_let_through(tmp_path: Path) -> None:
    check_beforehand(Settings.load({"record": str(tmp_path / "new" / "folder")}))

    assert (tmp_path / "new" / "folder").is_dir()


def test_nothing_is_asked_of_a_plain_start() -> None:
    check_beforehand(Settings.load({}))


def test_a_folder_is_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="--api-keys"):
        check_beforehand(Settings.load({"api_keys": str(tmp_path)}))
