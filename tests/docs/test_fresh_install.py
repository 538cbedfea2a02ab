"""A new virtual environment with what the guide installs, and nothing of ours beside: the guide, and every command.

It fetches packages, a minute's worth: `make endurance` runs it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.documents import REPOSITORY, blocks_of
from support.outside.first_session import GUIDE, Walked, walking

pytestmark = pytest.mark.slow

LISTS = {
    "deploy list": "deployments",
    "models list": "models",
    "robots list": "robots",
    "robots schemas": "robotSchemas",
    "sessions list": "sessions",
    "receipts list": "receipts",
    "keys list": "keys",
}


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip = [str(folder / "venv" / "bin" / "pip"), "--quiet", "--disable-pip-version-check"]
    [_, _, wanted] = next(block.code for block in blocks_of(GUIDE) if block.language == "bash").split()
    packages = wanted.strip("'").replace(".", str(REPOSITORY), 1)
    subprocess.run(
        [*pip, "install", "--constraint", str(REPOSITORY / "constraints.txt"), packages], check=True, cwd=folder
    )
    (folder / "reader").mkdir()
    with walking(folder / "venv" / "bin", folder / "reader") as walked:
        yield walked


def test_the_guide_and_the_sdk_page_run_in_a_fresh_environment(walked: Walked) -> None:
    found = walked.run("python", "-c", "import reflex; print(reflex.__file__)").strip()
    assert Path(found).is_relative_to(walked.bin.parent), "the installed package, not this repository's"
    assert "steps moved" in walked.printed
    with walked.robot_alive():
        walked.run("python", "-c", walked.sdk_page(), cwd=walked.folder / "examples")


@pytest.mark.parametrize(("command", "key"), LISTS.items(), ids=LISTS)
def test_a_group_shows_the_same_ids_as_text_and_as_json(walked: Walked, command: str, key: str) -> None:
    text, found = (walked.run("reflex", *command.split(), *more) for more in ([], ["--json"]))

    shown = [str(each.get("seq", each["id"])) for each in json.loads(found)[key]]
    assert shown
    assert [line.split()[0] for line in text.splitlines()] == shown


def test_one_of_a_kind_is_shown_as_text_and_as_json(walked: Walked) -> None:
    for command in (
        ["whoami"],
        ["deploy", "get", walked.ids["DEPLOYMENT"]],
        ["deploy", "doctor", walked.ids["DEPLOYMENT"]],
    ):
        with walked.robot_alive():
            assert walked.run("reflex", *command)
            assert isinstance(json.loads(walked.run("reflex", *command, "--json")), dict)
