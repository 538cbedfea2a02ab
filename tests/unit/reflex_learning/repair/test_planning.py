"""Of an episode with a hole nothing is kept; what only counts frames decides nothing where the time is even."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from reflex_learning.reading.info import read_info
from reflex_learning.repair.planning import Plan, plan_of
from reflex_learning.validation.survey import survey_of
from reflex_learning.validation.validating import validate
from support.datasets.drafts import Draft
from support.datasets.seeding import Defect, rewrite_table


def plan(defect: Defect, root: Path) -> Plan:
    defect.make(root)
    info = read_info(root)
    return plan_of(root, info, survey_of(root, info), validate(root, None, 1_000))


def keep_rows(draft: Draft, rows: list[int]) -> None:
    draft.episodes[1] = {name: values[rows] for name, values in draft.episodes[1].items()}
    for shown in draft.pictures.values():
        shown[1] = [shown[1][row] for row in rows]


def without_rows(draft: Draft) -> None:
    keep_rows(draft, [*range(20), *range(25, 45)])


def twice(draft: Draft) -> None:
    keep_rows(draft, [*range(20), *range(19, 45)])


def backwards(draft: Draft) -> None:
    draft.episodes[1]["timestamp"][30:] -= 0.5


def told_even(draft: Draft) -> None:
    """Somebody wrote the time anew, and the numbers of the frames tell still which are missing."""
    without_rows(draft)
    draft.episodes[1]["timestamp"] = (np.arange(40) / 30).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "said"),
    [
        (without_rows, "frames are missing or come twice, at frame 20"),
        (twice, "frames are missing or come twice, at frame 20"),
        (backwards, "at frame 30: 0.967 s is followed by 0.500 s, at 30 Hz"),
        (told_even, "frames are missing after frame 19"),
    ],
    ids=["rows", "twice", "time", "numbers"],
)
def test_an_episode_with_a_hole_is_left_out(tmp_path: Path, values: Callable[[Draft], None], said: str) -> None:
    found = plan(Defect(values=values, layout="image"), tmp_path / "dataset")

    assert [(each.episode, each.frames) for each in found.dropped] == [(1, None)]
    assert said in found.dropped[0].why
    assert [each.run.episode for each in found.kept] == [0, 2, 3]


@pytest.mark.slow
def test_numbers_that_mean_nothing_are_no_hole(tmp_path: Path) -> None:
    def same(draft: Draft) -> None:
        draft.episodes[1]["frame_index"][:] = 7

    assert plan(Defect(values=same, layout="image"), tmp_path / "dataset").dropped == []


@pytest.mark.slow
def test_an_episode_of_a_video_that_begins_later_has_lost_its_beginning(tmp_path: Path) -> None:
    def later(draft: Draft) -> None:
        draft.episodes[2]["timestamp"] += np.float32(2.0)

    found = plan(Defect(values=later), tmp_path / "dataset")
    assert [(each.episode, each.why) for each in found.dropped] == [
        (2, "its first frames are missing: it begins at 2.000 s, and its video at 0")
    ]


def test_of_pictures_that_a_long_episode_claims_none_is_kept_whatever_lies_between(tmp_path: Path) -> None:
    def within_the_first(draft: Draft) -> None:
        for number, begin in ((1, 5), (2, 20)):
            draft.rows[number]["videos/observation.images.front/from_timestamp"] = begin / 30

    def one_camera(draft: Draft) -> None:
        del draft.pictures["observation.images.wrist"]

    root = tmp_path / "dataset"
    found = plan(Defect(one_camera, within_the_first, layout="packed", lengths=(40, 10, 12, 10)), root)
    assert [each.episode for each in found.dropped] == [0, 1, 2]
    assert found.dropped[2].why.startswith(
        "episodes 0 and 2 claim the same pictures of videos/observation.images.front"
    )
    assert [each.run.episode for each in found.kept] == [3]


def test_rows_of_an_episode_in_two_places_are_no_episode(tmp_path: Path) -> None:
    def split(root: Path) -> None:
        file = root / "data/chunk-000/file-000.parquet"
        rewrite_table(file, lambda table: pa.concat_tables([table.slice(0, 60), table.slice(80), table.slice(60, 20)]))

    found = plan(Defect(layout="packed", lengths=(40, 40, 40), files=split), tmp_path / "dataset")
    assert (found.dropped[0].episode, found.dropped[0].why) == (1, "its rows lie in 2 places")
