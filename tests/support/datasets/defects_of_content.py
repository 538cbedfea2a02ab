"""Defects of what was recorded: files and tables are as they should be, and training learns the wrong thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from support.datasets.drafts import CAMERAS, Draft
from support.datasets.seeding import Defect

__all__ = ["CONTENT"]

FRONT, WRIST = CAMERAS
STATE, ACTION = "observation.state", "action"


def _set(episode: int, name: str, rows: Any, value: Any) -> Callable[[Draft], object]:
    def change(draft: Draft) -> None:
        draft.episodes[episode][name][rows] = value

    return change


def _each(change: Callable[[dict[str, Any]], None]) -> Callable[[Draft], None]:
    def changed(draft: Draft) -> None:
        for columns in draft.episodes:
            change(columns)

    return changed


def _constant(columns: dict[str, Any]) -> None:
    columns[STATE][:, 3] = columns[ACTION][:, 3] = 7.0


def _at_its_end(draft: Draft) -> None:
    for columns in draft.episodes:
        columns[STATE][:, 5] = 10.0
    draft.episodes[0][STATE][10:18, 5] = [13, 16, 19, 22, 20, 17, 14, 12]


def _flat(draft: Draft) -> None:
    for columns in draft.episodes:
        columns[STATE][:, 5] = 20.0
    draft.episodes[0][STATE][[10, 20], 5] = [30.0, 10.0]


def _late(columns: dict[str, Any]) -> None:
    columns[ACTION][1:] = columns[STATE][:-1]
    columns[ACTION][0] = columns[STATE][0]


def _swapped(columns: dict[str, Any]) -> None:
    columns[ACTION], columns[STATE] = columns[STATE].copy(), columns[ACTION].copy()


def _radians(columns: dict[str, Any]) -> None:
    for name in (STATE, ACTION):
        columns[name] = np.deg2rad(columns[name])


def _measured(rate: float) -> Callable[[dict[str, Any]], None]:
    return lambda columns: columns.update({"reflex.measured_unix_s": 1.7e9 + np.arange(len(columns["index"])) / rate})


def _copied(draft: Draft) -> None:
    for name in (STATE, ACTION):
        draft.episodes[2][name] = draft.episodes[0][name].copy()


def _plugged_in_twice(draft: Draft) -> None:
    draft.pictures[WRIST][1] = draft.pictures[FRONT][1]


def _plugged_in_crosswise(draft: Draft) -> None:
    shown = draft.pictures
    shown[WRIST][1], shown[FRONT][1] = shown[FRONT][1], shown[WRIST][1]


def _covered(draft: Draft) -> None:
    random, shown = np.random.default_rng(2), draft.pictures[FRONT][1]
    draft.pictures[FRONT][1] = [random.integers(0, 9, pixels.shape, np.uint8) for pixels in shown]


def _showing(every: int) -> Callable[[Draft], None]:
    def show(draft: Draft) -> None:
        shown = draft.pictures[FRONT][1]
        draft.pictures[FRONT][1] = [shown[frame // every * every] for frame in range(len(shown))]

    return show


def _copy_of_state(draft: Draft) -> None:
    draft.episodes[1][ACTION] = draft.episodes[1][STATE].copy()


def _idle(draft: Draft) -> None:
    draft.episodes[1][ACTION][:] = draft.episodes[1][ACTION][0]


def _jump(draft: Draft) -> None:
    draft.episodes[0][ACTION][20:, 0] += 14.0


def _beyond(draft: Draft) -> None:
    draft.episodes[0][STATE][:, 1] += 100.0


def _spike(draft: Draft) -> None:
    state = draft.episodes[0][STATE][:, 2]
    state[int(np.argmin(state[5:25])) + 5] = 95.0


CONTENT: Final[Mapping[str, Defect]] = {
    "frame-index": Defect(values=lambda draft: draft.episodes[1]["frame_index"].__iadd__(1)),
    "index": Defect(values=_set(2, "index", 5, 0)),
    "timestamps": Defect(values=lambda draft: draft.episodes[1]["timestamp"].__imul__(2)),
    "finite": Defect(meta=_set(0, ACTION, (3, 2), np.nan)),
    "task-range": Defect(values=_set(0, "task_index", -1, 9)),
    "action-is-state": Defect(values=_copy_of_state),
    "action-idle": Defect(values=_idle),
    "spikes": Defect(values=_spike),
    "action-jumps": Defect(values=_jump),
    "embodiment-limits": Defect(values=_beyond),
    "constant-axis": Defect(values=_each(_constant)),
    "saturated-axis": Defect(values=_at_its_end),
    "flat-quantiles": Defect(values=_flat),
    "action-lags": Defect(values=_each(_late)),
    "episode-twice": Defect(values=_copied, lengths=(40, 45, 40, 52)),
    "units": Defect(values=_each(_radians)),
    "real-rate": Defect(values=_each(_measured(15.0))),
    "camera-twice": Defect(values=_plugged_in_twice),
    "camera-swap": Defect(values=_plugged_in_crosswise),
    "black-pictures": Defect(values=_covered, layout="image"),
    "frozen-pictures": Defect(values=_showing(1000)),
    "repeated-pictures": Defect(values=_showing(2)),
}
