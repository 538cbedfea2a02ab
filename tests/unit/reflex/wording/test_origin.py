from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reflex.wording.origin import Origin, checkout_of, find_origin, origin_in

ROOT = Path(__file__).parents[4]


def test_code_that_runs_from_a_checkout_comes_from_there() -> None:
    assert find_origin() == Origin(ROOT, is_editable=True)


@pytest.mark.parametrize(
    "text",
    [None, "", "[project]\nname = 'other'\n", "[project\n", "project = 1\n", "[tool]\n", "name = 'reflex-act'\n"],
)
def test_a_folder_without_the_project_is_no_checkout(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "pyproject.toml").write_text(text)

    assert checkout_of(tmp_path) is None


def test_bytes_that_are_no_text_are_no_project(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"\xff\xfe")

    assert checkout_of(tmp_path) is None


def written(url: str, **told: Any) -> str:
    return json.dumps({"url": url, **told})


def test_a_checkout_that_was_copied_is_one_while_it_is_there(tmp_path: Path) -> None:
    checkout = tmp_path / "my clone"
    checkout.mkdir()
    (checkout / "pyproject.toml").write_text("[project]\nname = 'reflex-act'\n")

    assert origin_in(written(checkout.as_uri(), dir_info={})) == Origin(checkout)
    (checkout / "pyproject.toml").unlink()
    assert origin_in(written(checkout.as_uri(), dir_info={})) == Origin()


def test_an_archive_is_one_while_it_is_there(tmp_path: Path) -> None:
    wheel = tmp_path / "reflex_act-0.1.0-py3-none-any.whl"
    wheel.touch()

    assert origin_in(written(wheel.as_uri(), archive_info={})) == Origin(wheel)
    wheel.unlink()
    assert origin_in(written(wheel.as_uri(), archive_info={})) == Origin()


@pytest.mark.parametrize(
    ("told", "url"),
    [
        (written("https://a.example/r.git", vcs_info={"vcs": "git", "commit_id": "1"}), "git+https://a.example/r.git"),
        (
            written("https://a.example/r.git", vcs_info={"vcs": "git", "requested_revision": "v1", "commit_id": "1"}),
            "git+https://a.example/r.git@v1",
        ),
        (written("https://a.example/r.whl", archive_info={}), "https://a.example/r.whl"),
        (None, None),
    ],
)
def test_what_was_fetched_is_fetched_from_there_again(told: str | None, url: str | None) -> None:
    assert origin_in(told) == Origin(url=url)
