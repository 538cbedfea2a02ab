"""`--check` looks at everything that a run needs, and starts nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex_runner.running.checking import check_config
from support.runner.quick import GONE, QuickServer, patient_target, quick_server


@pytest.fixture(scope="module")
def server() -> Iterator[QuickServer]:
    with quick_server() as made:
        yield made


def written(folder: Path, url: str, more: str = "") -> Path:
    path = folder / "robot.yaml"
    path.write_text(
        f"hardware: {{kind: 'support.runner.quick:NeverStarted'}}\ntarget: {json.dumps(patient_target(url))}\n{more}",
        "utf-8",
    )
    return path


def test_a_robot_that_fits_passes(server: QuickServer, tmp_path: Path) -> None:
    checks = {each.id: each.status for each in check_config(written(tmp_path, server.url))}
    assert set(checks.values()) <= {"pass", "warn", "skip"}, checks
    assert (checks["server"], checks["session"]) == ("pass", "skip")


def test_a_camera_that_the_policy_has_not_and_a_server_that_is_not_there_fail(
    server: QuickServer, tmp_path: Path
) -> None:
    cameras = "cameras: {front: {kind: file, path: none.mp4}}\n"
    checks = {each.id: each.status for each in check_config(written(tmp_path, server.url, cameras))}
    assert checks["cameras"] == "fail"
    checks = {each.id: each.status for each in check_config(written(tmp_path, GONE))}
    assert (checks["hardware"], checks["server"]) == ("pass", "fail")


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"there is no .*none\.yaml"):
        check_config(tmp_path / "none.yaml")
    with pytest.raises(SetupError, match="cannot be read"):
        check_config(tmp_path)
