from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from docs.documents import REPOSITORY
from reflex.api_keys import new_key
from reflex.cli import app
from support.outside.answering import Answering, running

KEY = new_key()
CONFIG = (REPOSITORY / "model_repository/demo/reflex_config.json").read_bytes()


class Guarded(Answering):
    """Says /config to whoever has the key."""

    def get(self) -> None:
        known = self.headers["Authorization"] == f"Bearer {KEY}"
        body = CONFIG if known else b'{"error": "unauthorized", "message": "no such key", "request_id": null}'
        self.answer(200 if known else 401, body)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(ThreadingHTTPServer(("127.0.0.1", 0), Guarded)) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}"


def run(*arguments: str | Path, key: str = KEY) -> Any:
    return CliRunner().invoke(app, ["lerobot-policy", *map(str, arguments)], env={"REFLEX_API_KEY": key})


def test_a_folder_is_written_without_the_key_and_the_next_step_is_said(url: str, tmp_path: Path) -> None:
    result = run(url, "--out", tmp_path / "my policy", "--camera", "image=front", "--instruction", "wait")

    assert result.exit_code == 0, result.output
    files = {path.name: path.read_text() for path in (tmp_path / "my policy").iterdir()}
    assert sorted(files) == ["config.json", "policy_postprocessor.json", "policy_preprocessor.json"]
    assert not any(KEY in content for content in files.values())
    assert json.loads(files["config.json"])["url"] == url
    assert json.loads(files["config.json"])["instruction"] == "wait"
    assert "camera image gets LeRobot's observation.images.front" in result.stderr
    assert f"--policy.path='{tmp_path / 'my policy'}'" in result.stderr
    assert result.stdout == ""


def test_as_json_it_is_one_value(url: str, tmp_path: Path) -> None:
    value = json.loads(run(url, "--out", tmp_path / "policy", "--json").stdout)

    assert (value["folder"], value["policy_id"]) == (str(tmp_path / "policy"), "demo")
    assert value["cameras"] == {"observation.images.image": "image"}


def test_without_the_key_nothing_is_written(url: str, tmp_path: Path) -> None:
    result = run(url, "--out", tmp_path / "policy", key=new_key())

    assert result.exit_code == 1
    assert "no such key" in result.stderr
    assert not (tmp_path / "policy").exists()


@pytest.mark.parametrize("cameras", [["front"], ["=front"], ["image="], ["image=a", "image=b"]])
def test_a_camera_that_is_no_pair_is_wrong_usage(cameras: list[str], url: str, tmp_path: Path) -> None:
    options = [word for camera in cameras for word in ("--camera", camera)]

    assert run(url, "--out", tmp_path / "policy", *options).exit_code == 2


def test_without_a_folder_it_is_wrong_usage(url: str) -> None:
    assert run(url).exit_code == 2
