"""`reflex datasets list` and `reflex datasets show`: what datasets say of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reflex.cli.extras import load_extra
from reflex.cli.options import JsonOption
from reflex.cli.plot import chunk_lines
from reflex.console import columns, print_json, reported_errors, say, show
from reflex.wording.nouns import counted

if TYPE_CHECKING:
    from reflex_learning.reading.frames import Frames

__all__ = ["DatasetArgument", "list_datasets", "show_dataset"]

READING = "reflex_learning.reading.dataset"
DatasetArgument = Annotated[
    Path, typer.Argument(metavar="DATASET", help="The folder of a LeRobot dataset, with meta/info.json in it.")
]


def list_datasets(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A dataset, or the folder that datasets lie in.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """List the LeRobot datasets in a folder and up to four folders below it.

    Example:

    \b
      reflex datasets list recordings
    """
    reading = load_extra(READING, "datasets", as_json=as_json)
    with reported_errors(as_json=as_json):
        found = [reading.line_of(root) for root in reading.find_datasets(folder)]
    if as_json:
        print_json(found)
        return
    for line in found:
        show(_listed(line))
    say(f"{counted(len(found), 'dataset')} in {folder}")


def show_dataset(
    dataset: DatasetArgument,
    *,
    episode: Annotated[int, typer.Option(metavar="N", min=0, help="The episode whose course is shown.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Show episodes, tasks, cameras, axes and rate of a dataset, and how one of its episodes goes.

    Example:

    \b
      reflex datasets show recordings/2026-11-27/lerobot
    """
    reading = load_extra(READING, "datasets", as_json=as_json)
    with reported_errors(as_json=as_json):
        found = reading.open_dataset(dataset)
        frames = reading.frames_of_episode(found, episode) if found.episodes and not as_json else None
    told = reading.told(found)
    if as_json:
        print_json(told)
        return
    for line in (*_head(told), *_features(told)):
        show(line)
    if frames is not None:
        _show_course(told, frames)


def _listed(line: dict[str, Any]) -> str:
    if "error" in line:
        return f"{line['path']}: {line['error']}"
    robot = line["robot_type"] or "unknown robot"
    counts = f"{_count(line['episodes'])} episodes, {_count(line['frames'])} frames at {line['fps']:g} Hz"
    return f"{line['path']}: {line['version']}, {robot}, {counts}"


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _head(told: dict[str, Any]) -> Iterator[str]:
    yield f"{told['path']}: LeRobot {told['version']}, {told['robot_type'] or 'unknown robot'}, {told['fps']:g} Hz"
    spread = f"{told['shortest_episode']:,} to {told['longest_episode']:,} frames each"
    episodes, seconds = counted(told["episodes"], "episode"), told["seconds"]
    yield f"{episodes}, {told['frames']:,} frames, {seconds:,.1f} s; {spread}"
    for number, task in enumerate(told["tasks"]):
        yield f"task {number}: {task}"


def _features(told: dict[str, Any]) -> Iterator[str]:
    width = max(len(each["name"]) for each in told["features"])
    for each in told["features"]:
        size = " x ".join(map(str, each["shape"]))
        aside = each.get("codec") or (", ".join(each.get("names", [])) if each["shape"] != [1] else "")
        yield f"{each['name']:<{width}}  {each['dtype']} {size}  {aside}".rstrip()


def _show_course(told: dict[str, Any], frames: Frames) -> None:
    names = {each["name"]: each.get("names", []) for each in told["features"]}
    for name in ("observation.state", "action"):
        if name in frames.columns and len(frames.columns[name]):
            show(f"episode {frames.episode}, {name}:")
            for line in chunk_lines(frames.columns[name].tolist(), names[name], columns()):
                show(f"  {line}")
