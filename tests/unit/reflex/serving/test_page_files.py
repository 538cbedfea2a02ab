"""Every file of a page has a type that a browser takes, and text says how it is written."""

from __future__ import annotations

from importlib import resources

import pytest

from reflex.serving.page_files import media_type

FOLDERS = (("reflex_frontend.http", "page"), ("reflex_control.dashboard", "assets"), ("reflex_runner.page", "assets"))
FILES = [file.name for package, folder in FOLDERS for file in (resources.files(package) / folder).iterdir()]


@pytest.mark.parametrize("name", sorted(set(FILES)))
def test_every_file_of_our_pages_has_a_type(name: str) -> None:
    told = media_type(name)
    assert told == "image/svg+xml" or (told.startswith("text/") and told.endswith("; charset=utf-8"))


def test_a_script_is_one_for_browsers_that_do_not_guess() -> None:
    assert media_type("view.min.js") == "text/javascript; charset=utf-8"


def test_what_belongs_to_no_page_has_none() -> None:
    with pytest.raises(KeyError):
        media_type("notes.txt")
