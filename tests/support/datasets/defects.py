"""For each rule of the validator a way to break a healthy dataset, by which that rule alone fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from support.datasets.defects_of_content import CONTENT
from support.datasets.drafts import CAMERAS, LENGTHS, Draft, healthy
from support.datasets.seeding import Defect, rewrite_table
from support.datasets.writing import mp4, write_tasks

__all__ = ["DEFECTS"]

FRONT, WRIST = CAMERAS
EQUAL: Final = (40, 40, 40, 40)
LAST: Final = "chunk-000/file-003"


def _info(**changes: Any) -> Callable[[Draft], None]:
    return lambda draft: draft.info.update(changes)


def _feature(name: str, **changes: Any) -> Callable[[Draft], None]:
    return lambda draft: draft.info["features"].setdefault(name, {}).update(changes)


def _row(number: int, **changes: Any) -> Callable[[Draft], None]:
    return lambda draft: draft.rows[number].update(changes)


def _stat(feature: str, name: str, value: Any) -> Callable[[Draft], None]:
    return lambda draft: draft.stats[feature].update({name: value})


def _cut(file: str, keep: float = 0.5) -> Callable[[Path], None]:
    def cut(root: Path) -> None:
        whole = (root / file).read_bytes()
        (root / file).write_bytes(whole[: int(len(whole) * keep)])

    return cut


def _remove(file: str) -> Callable[[Path], None]:
    return lambda root: (root / file).unlink()


def _copy(file: str, to: str) -> Callable[[Path], None]:
    def copy(root: Path) -> None:
        (root / to).parent.mkdir(parents=True, exist_ok=True)
        (root / to).write_bytes((root / file).read_bytes())

    return copy


def _link_out(root: Path) -> None:
    (root.parent / "elsewhere").write_text("secret")
    (root / "meta" / "notes").symlink_to(root.parent / "elsewhere")


def _empty_table(root: Path) -> None:
    table = pq.read_table(root / "data" / f"{LAST}.parquet")
    pq.write_table(table.slice(0, 0), root / "data/chunk-000/file-004.parquet")


def _with_column(draft: Draft, name: str, width: int = 1) -> None:
    for columns in draft.episodes:
        frames = np.arange(len(columns["index"]))
        columns[name] = (
            frames if width == 1 else np.stack([frames + n for n in range(width)], axis=1).astype(np.float32)
        )


def _narrow_index(draft: Draft) -> None:
    draft.types["index"] = pa.int32()


def _no_state(draft: Draft) -> None:
    for columns in draft.episodes:
        columns["observation.pose"] = columns.pop("observation.state")


def _double_actions(draft: Draft) -> None:
    draft.types["action"] = pa.list_(pa.float64(), 6)


def _wider(draft: Draft) -> None:
    draft.info["features"]["observation.extra"]["shape"] = [3]
    of = draft.stats["observation.extra"]
    of.update({name: [*values, values[0]] for name, values in of.items() if name != "count"})


def _ragged(root: Path) -> None:
    def shorten(table: Any) -> Any:
        rows = table["action"].to_pylist()
        rows[7] = rows[7][:5]
        place = table.schema.get_field_index("action")
        return table.set_column(place, "action", pa.array(rows, pa.list_(pa.float32())))

    rewrite_table(root / "data" / f"{LAST}.parquet", shorten)


def _nothing(root: Path) -> None:
    for folder in ("data", "videos", "meta/episodes"):
        for file in (root / folder).rglob("*.*"):
            if file.is_file():
                file.unlink()
    info = json.loads((root / "meta" / "info.json").read_text())
    changes = {"total_episodes": 0, "total_frames": 0, "splits": {"train": "0:0"}}
    (root / "meta" / "info.json").write_text(json.dumps(info | changes))


def _shift(number: int, by_s: float, *, only_end: bool = False) -> Callable[[Draft], None]:
    def shift(draft: Draft) -> None:
        for camera in CAMERAS:
            if not only_end:
                draft.rows[number][f"videos/{camera}/from_timestamp"] += by_s
            draft.rows[number][f"videos/{camera}/to_timestamp"] += by_s

    return shift


def _one_row_less(draft: Draft) -> None:
    draft.episodes[3] = {name: values[:-1] for name, values in draft.episodes[3].items()}


def _length_of_before(draft: Draft) -> None:
    row = draft.rows[3]
    row["length"] += 1
    row["dataset_to_index"] += 1
    _shift(3, 1 / 30, only_end=True)(draft)


def _crossed(draft: Draft) -> None:
    del draft.tasks[1:]
    for columns in draft.episodes:
        columns["task_index"][:] = 0
    draft.episodes[1]["episode_index"][:] = 2
    draft.episodes[2]["episode_index"][:] = 1


def _reversed_tasks(root: Path) -> None:
    write_tasks(root, list(reversed(list(enumerate(healthy().tasks)))))


def _tasks_in_a_column(root: Path) -> None:
    write_tasks(root, list(enumerate(healthy().tasks)), index=())


def _corrupt_video(root: Path) -> None:
    file = root / "videos" / FRONT / f"{LAST}.mp4"
    content = bytearray(file.read_bytes())
    begin = content.index(b"mdat") + len(content) // 3
    content[begin : begin + 600] = bytes(600)
    file.write_bytes(content)


def _other_video(pts_of: Callable[[int], int]) -> Callable[[Path], None]:
    """Frames at other times, in thousandths of a frame."""

    def encode(root: Path) -> None:
        shown = healthy().pictures[FRONT][3]
        content = mp4(np.stack(shown).tobytes(), len(shown), shown[0].shape, tuple(map(pts_of, range(len(shown)))))
        (root / "videos" / FRONT / f"{LAST}.mp4").write_bytes(content)

    return encode


def _gap(root: Path) -> None:
    file = root / f"meta/episodes/{LAST}.parquet"
    file.rename(file.with_name("file-005.parquet"))


def _no_length(root: Path) -> None:
    rewrite_table(root / f"meta/episodes/{LAST}.parquet", lambda table: table.drop_columns(["length"]))


def _stale_files(draft: Draft) -> None:
    for number, stale in ((1, 2), (2, 1)):
        draft.rows[number]["data/file_index"] = stale


def _fewer_pictures(draft: Draft) -> None:
    draft.pictures[FRONT][3] = draft.pictures[FRONT][3][:-5]


def _smaller_pictures(draft: Draft) -> None:
    draft.pictures[FRONT][3] = [np.ascontiguousarray(pixels[:32, :48]) for pixels in draft.pictures[FRONT][3]]


def _no_picture(root: Path) -> None:
    def spoil(table: Any) -> Any:
        cells = table[FRONT].to_pylist()
        cells[3] = {"bytes": b"no picture", "path": None}
        return table.set_column(
            table.schema.get_field_index(FRONT), FRONT, pa.array(cells, table.schema.field(FRONT).type)
        )

    rewrite_table(root / "data" / f"{LAST}.parquet", spoil)


NAN: Final = [float("nan")] * 6
STRUCTURE: Final[Mapping[str, Defect]] = {
    "info-open": Defect(files=lambda root: (root / "meta/info.json").write_text("{")),
    "fps": Defect(meta=_info(fps=30.0)),
    "version": Defect(meta=_info(codebase_version="v2.1")),
    "paths": Defect(meta=_info(data_path="data/{episode_index}.parquet")),
    "links": Defect(files=_link_out),
    "tables-open": Defect(files=_cut(f"data/{LAST}.parquet")),
    "data-files": Defect(files=_remove(f"data/{LAST}.parquet")),
    "video-files": Defect(files=_remove(f"videos/{WRIST}/{LAST}.mp4")),
    "stray-tables": Defect(files=_empty_table),
    "stray-videos": Defect(files=_copy(f"videos/{WRIST}/{LAST}.mp4", f"videos/{WRIST}/chunk-000/file-004.mp4")),
    "leftovers": Defect(files=_copy("meta/info.json", "images/front/frame-000000.png")),
    "file-numbers": Defect(files=_gap),
    "features": Defect(meta=_feature("extra", dtype="video", shape=[0], names=None)),
    "feature-names": Defect(values=lambda draft: _with_column(draft, "note/1")),
    "counters": Defect(values=_narrow_index, meta=_feature("index", dtype="int32")),
    "axis-names": Defect(meta=_feature("action", names=["a", "b", "c", "d", "e"])),
    "picture-names": Defect(meta=_feature(FRONT, names=None)),
    "policy-features": Defect(values=_no_state),
    "columns": Defect(meta=_feature("note", dtype="string", shape=[1], names=None)),
    "column-types": Defect(values=_double_actions),
    "column-widths": Defect(values=lambda draft: _with_column(draft, "observation.extra", 2), meta=_wider),
    "episode-rows": Defect(files=_no_length),
    "table-rows": Defect(files=_ragged),
    "not-empty": Defect(files=_nothing),
    "episode-numbers": Defect(meta=_row(3, episode_index=7)),
    "episode-ranges": Defect(meta=_row(2, dataset_from_index=0, dataset_to_index=40)),
    "totals": Defect(meta=_info(total_frames=sum(LENGTHS) + 5)),
    "splits": Defect(meta=_info(splits={"train": "0:3"})),
    "short-episodes": Defect(lengths=(36, 45, 40, 20)),
    "tasks-open": Defect(files=_remove("meta/tasks.parquet")),
    "task-index": Defect(files=_tasks_in_a_column),
    "task-order": Defect(files=_reversed_tasks),
    "task-texts": Defect(values=lambda draft: draft.tasks.__setitem__(1, " ")),
    "task-twice": Defect(values=lambda draft: draft.tasks.__setitem__(1, "Pick up  the red cube")),
    "stats-open": Defect(files=_remove("meta/stats.json")),
    "stats-features": Defect(meta=lambda draft: draft.stats.pop(WRIST)),
    "stats-shapes": Defect(meta=_stat(FRONT, "mean", [0.5, 0.5, 0.5])),
    "stats-finite": Defect(meta=_stat("action", "mean", NAN)),
    "stats-pictures": Defect(meta=_stat(FRONT, "max", [[[255.0]]] * 3)),
    "stats-quantiles": Defect(meta=lambda draft: draft.stats["action"].pop("q99")),
    "stats-order": Defect(meta=_stat("action", "q50", [-1000.0] * 6)),
    "episode-file": Defect(meta=_stale_files),
    "episode-order": Defect(layout="packed", lengths=EQUAL, values=_crossed),
    "episode-lengths": Defect(values=_one_row_less, meta=_length_of_before),
    "episode-tasks": Defect(meta=_row(0, tasks=["pick up the green cube"])),
    "task-unused": Defect(values=lambda draft: draft.tasks.append("pick up the blue cube")),
    "stats-range": Defect(meta=_stat("action", "max", [99.0] * 6)),
    "stats-moments": Defect(meta=_stat("action", "mean", [7.0] * 6)),
    "stats-count": Defect(meta=_stat("action", "count", [10])),
    "video-opens": Defect(files=_cut(f"videos/{WRIST}/{LAST}.mp4")),
    "video-decodes": Defect(files=_corrupt_video),
    "video-size": Defect(meta=_smaller_pictures),
    "video-rate": Defect(files=_other_video(lambda frame: frame * 2000)),
    "video-codec": Defect(meta=_feature(FRONT, info={"video.codec": "av1"})),
    "video-frames": Defect(meta=_fewer_pictures),
    "video-spans": Defect(meta=_shift(3, 0.2, only_end=True)),
    "video-overlap": Defect(layout="packed", meta=_shift(2, -5 / 30)),
    "video-start": Defect(layout="packed", meta=_shift(1, 0.01)),
    "video-times": Defect(files=_other_video(lambda frame: frame * 1000 + 400 * (frame == 20))),
    "picture-decodes": Defect(layout="image", files=_no_picture),
    "picture-size": Defect(layout="image", meta=_smaller_pictures),
}  # fmt: skip
DEFECTS: Final[Mapping[str, Defect]] = {**STRUCTURE, **CONTENT}
