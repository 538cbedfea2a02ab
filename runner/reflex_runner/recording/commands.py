"""The commands of one recorded episode, from whichever format of it is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from reflex.datasets.layout import INFO_FILE
from reflex.embodiments import Embodiment
from reflex.errors import SetupError
from reflex.wording.install import install_line
from reflex_runner.recording.formats.files import episode_name
from reflex_runner.recording.recorder import HEADER_FILE

__all__ = ["RecordedCommands", "read_commands"]

EXTRAS: Final[Mapping[str, str]] = {"mcap": "mcap", "lerobot": "datasets"}
DAMAGED: Final = (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)
"""What reading JSON of a stranger may raise."""
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class RecordedCommands:
    """What was commanded, and when, in seconds from the first command."""

    times_s: npt.NDArray[np.float64]
    commands: FloatArray
    """Of shape [commands, axes]."""


def read_commands(recording: Path, embodiment: Embodiment, episode: int = 0) -> RecordedCommands:
    """Of a recording's folder, or of a LeRobot dataset; `SetupError` says what is wrong."""
    _refuse_other_units(recording, embodiment)
    names, rows = _read(recording, episode)
    if tuple(names) != embodiment.action_names:
        raise SetupError(
            f"{recording} was recorded with the axes {', '.join(names)}, and {embodiment.name} has "
            f"{', '.join(embodiment.action_names)}; replay it on the robot of its embodiment"
        )
    return _checked(recording, episode, rows, len(names))


def _refuse_other_units(recording: Path, embodiment: Embodiment) -> None:
    """Percent that are taken for degrees lead an arm of the same axes elsewhere. LeRobot's own data do not say them."""
    units = _units_said(recording / HEADER_FILE) or _units_said(recording.parent / HEADER_FILE)
    if units not in (None, embodiment.action_units):
        raise SetupError(
            f"{recording} was recorded in {_units(units)}, and {embodiment.name} is in "
            f"{_units(embodiment.action_units)}; replay it on the robot of its embodiment"
        )


def _units_said(header: Path) -> tuple[str, ...] | None:
    try:
        return tuple(map(str, json.loads(header.read_bytes())["embodiment"]["action_units"]))
    except (OSError, *DAMAGED):
        return None


def _units(units: Iterable[str] | None) -> str:
    return ", ".join(dict.fromkeys(units or ()))


def _checked(recording: Path, episode: int, rows: list[tuple[float, Any]], axes: int) -> RecordedCommands:
    if not rows:
        raise SetupError(f"{recording}: there is no episode {episode} in which anything was commanded; choose another")
    try:
        commands = np.array([command for _, command in rows], np.float32).reshape(len(rows), axes)
    except (TypeError, ValueError) as exc:
        raise SetupError(f"{recording}: episode {episode} has commands of different lengths; it is damaged") from exc
    times_s = np.array([at_s for at_s, _ in rows], np.float64)
    if not (np.isfinite(commands).all() and np.isfinite(times_s).all() and (np.diff(times_s) >= 0).all()):
        raise SetupError(f"{recording}: episode {episode} has commands or times that are none; it is damaged")
    return RecordedCommands(times_s - times_s[0], commands)


def _read(recording: Path, episode: int) -> tuple[list[str], list[tuple[float, Any]]]:
    if (recording / INFO_FILE).is_file():
        return _of_extra("lerobot", recording, episode)
    for name, file in (("jsonl", f"{episode_name(episode)}.jsonl"), ("mcap", f"{episode_name(episode)}.mcap")):
        if (recording / name / file).is_file():
            read = _of_jsonl if name == "jsonl" else _of_mcap_file
            return read(recording / name / file)
    if (recording / "lerobot" / INFO_FILE).is_file():
        return _of_extra("lerobot", recording / "lerobot", episode)
    raise SetupError(
        f"{recording} holds no episode {episode} as jsonl, mcap or lerobot; "
        "give the folder of a recording, and one of the episodes in its episodes.jsonl"
    )


def _of_jsonl(file: Path) -> tuple[list[str], list[tuple[float, Any]]]:
    try:
        lines = [json.loads(line) for line in file.read_bytes().splitlines()]
        names = lines[0]["embodiment"]["action_names"]
        return names, [(line["t"], line["command"]) for line in lines if line["kind"] == "tick" and "command" in line]
    except OSError as exc:
        raise SetupError(f"{file} cannot be read ({exc.strerror or exc})") from exc
    except DAMAGED as exc:
        raise SetupError(f"{file} is damaged; run: reflex datasets repair {file.parent.parent}") from exc


def _of_mcap_file(file: Path) -> tuple[list[str], list[tuple[float, Any]]]:
    return _of_extra("mcap", file, 0)


def _of_extra(name: str, path: Path, episode: int) -> tuple[list[str], list[tuple[float, Any]]]:
    """Packages that Reflex does without are imported here, and the extra that brings them is named."""
    readers: Mapping[str, Callable[[Path, int], tuple[list[str], list[tuple[float, Any]]]]] = {
        "mcap": _of_mcap, "lerobot": _of_lerobot,
    }  # fmt: skip
    try:
        return readers[name](path, episode)
    except ImportError as exc:
        missing = f"to read {path}, {exc.name or exc} is missing; run: {install_line(EXTRAS[name])}"
        raise SetupError(missing) from exc


def _of_mcap(file: Path, _episode: int) -> tuple[list[str], list[tuple[float, Any]]]:
    from mcap.exceptions import McapError
    from mcap.reader import make_reader

    try:
        with file.open("rb") as stream:
            messages = [
                (message.log_time / 1e9, json.loads(message.data)["joints"])
                for _, _, message in make_reader(stream).iter_messages(topics="/action/state")
            ]
        names = [joint["label"] for joint in messages[0][1]] if messages else []
        return names, [(at_s, [joint["value"] for joint in joints]) for at_s, joints in messages]
    except (McapError, OSError, *DAMAGED) as exc:
        raise SetupError(f"{file} is damaged; run: reflex datasets repair {file.parent.parent}") from exc


def _of_lerobot(root: Path, episode: int) -> tuple[list[str], list[tuple[float, Any]]]:
    import pyarrow as pa

    try:
        info = json.loads((root / INFO_FILE).read_bytes())
        number = _number_in(root, episode)
        rows = [row for table in _tables(root) for row in table if row["episode_index"] == number]
        names = [name.removesuffix(".pos") for name in info["features"]["action"]["names"]]
        return names, [(row["timestamp"], row["action"]) for row in rows]
    except (OSError, *DAMAGED, pa.ArrowException) as exc:
        raise SetupError(f"{root} is no whole LeRobot v3 dataset with actions ({exc}); choose another") from exc


def _number_in(root: Path, episode: int) -> int | None:
    """In a recording's dataset an episode without frames is missing; in others the numbers are the dataset's own."""
    from reflex_runner.recording.lerobot.dataset import load_dataset

    dataset = load_dataset(root)
    if dataset is None:
        return episode
    return next((row.number for row in dataset.rows if row.recorded_as == episode), None)


def _tables(root: Path) -> Iterator[list[dict[str, Any]]]:
    import pyarrow.parquet as pq

    for file in sorted((root / "data").glob("*/*.parquet")):
        yield pq.read_table(file, columns=["episode_index", "timestamp", "action"]).to_pylist()
