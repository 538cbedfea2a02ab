"""An episode has a file of its own, also when it pauses, comes back, or many come at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reflex_frontend.observing.recording.episode_files import MAX_SHARING, NewEpisodes
from support.leftovers import descriptors
from support.recordings import lines_in, trace_header, wall_clock
from unit.reflex_frontend.observing.recording.trace_files import (
    is_complete,
    lines_of_file,
    names,
    number_of,
    total,
    writer,
)


def test_an_episode_has_a_file_of_its_own_whatever_its_id(tmp_path: Path) -> None:
    clock = wall_clock()
    written = writer(tmp_path, clock, by="episode")
    for number, episode in enumerate(("../../etc/passwd", "ep", "../../etc/passwd", None)):
        written.add(b'{"kind":"x","n":%d}\n' % number, clock(), episode)
    written.close()

    # printf '%s' ID | sha256sum
    assert names(tmp_path) == [
        "2027-01-15T08Z_0badcafe_2.jsonl.gz",
        "episode-0e26f370b56256f2_0badcafe_1.jsonl.gz",
        "episode-3754d6cb3a38e118_0badcafe_0.jsonl.gz",
    ]
    assert [line.get("n") for line in lines_in(tmp_path)] == [None, 0, 2, None, 1, None, 3]


def test_at_most_so_many_files_are_open_and_the_one_used_longest_ago_goes(tmp_path: Path) -> None:
    clock = wall_clock()
    written = writer(tmp_path, clock, by="episode", max_open_files=3)
    before = descriptors()
    for episode in "abcabd":
        written.add(b'{"kind":"x"}\n', clock(), episode)
    written.flush()
    assert len(descriptors() - before) == 3
    closed = [path for path in tmp_path.iterdir() if is_complete(path)]
    assert [path.name.split("_")[2] for path in closed] == ["2.jsonl.gz"]  # c's, the third
    written.close()
    assert not descriptors() - before


def test_an_episode_that_comes_back_goes_on_in_its_file(tmp_path: Path) -> None:
    clock = wall_clock()
    written = writer(tmp_path, clock, by="episode", max_open_files=1)
    for number, episode in enumerate("aba"):
        written.add(b'{"kind":"x","n":%d}\n' % number, clock(), episode)
    written.close()
    assert len(names(tmp_path)) == 2
    assert [[line.get("n") for line in lines_of_file(path)] for path in sorted(tmp_path.iterdir(), key=number_of)] == [
        [None, 0, 2], [None, 1],
    ]  # fmt: skip
    assert total(tmp_path) == written.bytes_written


def test_more_episodes_at_a_time_than_open_files_are_a_file_each_and_no_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = wall_clock()
    written = writer(tmp_path, clock, by="episode", max_open_files=16)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    for number in range(10):
        for episode in range(20):
            written.add(b'{"kind":"x","n":%d}\n' % number, clock(), f"episode {episode}")
        written.flush()
    assert synced == []
    written.close()
    assert len(synced) == 16  # those that were open
    assert len(names(tmp_path)) == 20
    for path in tmp_path.iterdir():
        assert [line["n"] for line in lines_of_file(path) if line["kind"] == "x"] == list(range(10))


def test_a_file_that_goes_on_says_which_policy_it_is_by_now(tmp_path: Path) -> None:
    clock = wall_clock()
    written = writer(tmp_path, clock, by="episode", max_open_files=1)
    for episode in "ab":
        written.add(b'{"kind":"x"}\n', clock(), episode)
    written.replace_header(trace_header(model_version="new@1"))
    for episode in "aba":
        written.add(b'{"kind":"x"}\n', clock(), episode)
    written.close()
    first, _ = sorted(tmp_path.iterdir(), key=number_of)
    kinds = [
        line["policies"]["a"]["model_version"] if line["kind"] == "header" else "x" for line in lines_of_file(first)
    ]
    assert kinds == ["small@0123456789ab", "x", "new@1", "x", "x"]


def test_an_episode_whose_file_was_removed_or_is_long_gets_a_new_one(tmp_path: Path) -> None:
    clock = wall_clock()
    written = writer(tmp_path, clock, by="episode", max_open_files=1, max_file_bytes=8 * 1024)
    for episode in "ab":
        written.add(b'{"kind":"x"}\n', clock(), episode)
    next(path for path in tmp_path.iterdir() if number_of(path) == 0).unlink()
    written.add(b'{"kind":"x","noise":"%s"}\n' % os.urandom(16 * 1024).hex().encode(), clock(), "a")
    for episode in "ba":
        written.add(b'{"kind":"x"}\n', clock(), episode)
    written.close()
    assert sorted(map(number_of, tmp_path.iterdir())) == [1, 2, 3]
    assert all(lines_of_file(path)[0]["kind"] == "header" for path in tmp_path.iterdir())


def test_a_file_that_was_given_up_is_not_gone_on_with(tmp_path: Path) -> None:
    """Its gzip stream has no end: what would be appended could not be read."""
    clock = wall_clock()
    written = writer(tmp_path, clock, by="episode", max_open_files=1)
    for episode in "ab":
        written.add(b'{"kind":"x"}\n', clock(), episode)
    written.flush()
    written.abandon()
    for episode in "ab":
        written.add(b'{"kind":"x"}\n', clock(), episode)
    written.close()
    assert len(names(tmp_path)) == 4
    assert len(lines_in(tmp_path, "x")) == 4


def test_an_episode_that_is_over_is_closed(tmp_path: Path) -> None:
    clock = wall_clock()
    written = writer(tmp_path, clock, by="episode", idle_s=60.0)
    written.add(b'{"kind":"x"}\n', clock(), "a")
    written.flush()
    clock.now_s += 61
    written.add(b'{"kind":"x"}\n', clock(), "b")
    written.flush()
    assert [is_complete(path) for path in sorted(tmp_path.iterdir(), key=lambda path: path.name[-10:])] == [True, False]


def test_invented_episodes_share_their_hours_file_and_robots_keep_theirs(tmp_path: Path) -> None:
    clock = wall_clock()
    written = writer(tmp_path, clock, by="episode", max_new_episodes_per_minute=3)
    for number, episode in enumerate(["robot", *(f"invented {n}" for n in range(50)), "robot", "invented 49"]):
        written.add(b'{"kind":"x","n":%d}\n' % number, clock(), episode)
    clock.now_s += 60  # a minute later the next one has its own again, and the late one stays where it began
    for number, episode in ((53, "invented 49"), (54, "next")):
        written.add(b'{"kind":"x","n":%d}\n' % number, clock(), episode)
    written.close()
    assert len(names(tmp_path)) == 5
    found = {path.name[:10]: [line["n"] for line in lines_of_file(path)[1:]] for path in tmp_path.iterdir()}
    assert found["2027-01-15"] == [*range(3, 51), 52, 53]
    assert [0, 51] in found.values()
    assert [54] in found.values()


def test_a_clock_that_is_set_back_begins_a_new_minute() -> None:
    new = NewEpisodes(1)
    assert [new.may_begin(stem, 1000.0) for stem in "abb"] == [True, False, False]
    assert new.may_begin("c", 500.0)
    assert not new.may_begin("d", 559.9)
    assert new.may_begin("e", 560.0)


def test_only_so_many_sharing_episodes_are_remembered() -> None:
    new = NewEpisodes(0)
    for number in range(MAX_SHARING + 10):
        assert not new.may_begin(str(number), 1000.0)
    assert len(new._sharing) == MAX_SHARING
