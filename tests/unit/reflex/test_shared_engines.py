from __future__ import annotations

from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex.shared_engines import CURRENT, await_engines, current_engines, link_engines, make_current


class Clock:
    """Time that passes by sleeping; `then` happens after so many sleeps."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.sleeps_s: list[float] = []
        self.then: dict[int, Path] = {}

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.sleeps_s.append(seconds)
        if len(self.sleeps_s) in self.then:
            make_current(self.then[len(self.sleeps_s)])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "shared" / "f1"
    folder.mkdir(parents=True)
    return folder


def test_nothing_is_current_where_nobody_has_built(tmp_path: Path) -> None:
    assert current_engines(tmp_path / "nowhere") is None


def test_what_was_made_current_is_found_and_nothing_is_left_beside_it(place: Path) -> None:
    make_current(place)

    assert current_engines(place.parent) == place
    assert {path.name for path in place.parent.iterdir()} == {"f1", CURRENT}


@pytest.mark.parametrize("name", ["", "\n", "f2\n"])
def test_a_name_without_its_folder_is_not_current(place: Path, name: str) -> None:
    (place.parent / CURRENT).write_text(name, encoding="utf-8")

    assert current_engines(place.parent) is None


def test_whoever_waits_gets_the_engines_as_soon_as_they_are_current(place: Path) -> None:
    clock, told = Clock(), list[float]()
    clock.then[2] = place

    assert await_engines(place.parent, 60, told.append, clock=clock, sleep=clock.sleep) == place
    assert told == [60.0, 59.0]


def test_whoever_waits_gives_up_at_the_deadline(tmp_path: Path) -> None:
    clock = Clock()

    with pytest.raises(SetupError, match=r"current names no finished engines after 2 s"):
        await_engines(tmp_path, 1.5, lambda _: None, clock=clock, sleep=clock.sleep)
    assert sum(clock.sleeps_s) == 1.5


def test_finished_engines_are_found_even_without_time_to_wait(place: Path) -> None:
    make_current(place)

    assert await_engines(place.parent, 0, lambda _: None) == place


def test_a_link_stays_where_it_leads_when_others_become_current(place: Path, tmp_path: Path) -> None:
    link, later = tmp_path / "repository", place.with_name("f2")
    later.mkdir()
    link_engines(place, link)

    make_current(later)

    assert link.resolve() == place.resolve()


def test_a_link_of_before_is_replaced_and_leads_back_to_no_relative_path(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "repository"
    link.symlink_to(tmp_path / "gone")
    monkeypatch.chdir(place.parent)

    link_engines(Path(place.name), link)

    assert link.readlink() == place


def test_a_folder_in_the_way_of_a_link_is_kept_and_named(place: Path, tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()

    with pytest.raises(SetupError, match=r"repository cannot become a link"):
        link_engines(place, folder)
    assert folder.is_dir()
    assert not folder.is_symlink()
