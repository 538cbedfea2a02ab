"""What a command answers: one line of JSON, read in one place and trusted in nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt

from reflex.connector import CameraFrame, Observation
from reflex.printable import printable
from reflex_runner.connectors.commands.pictures import picture_of
from reflex_runner.connectors.nearest import nearest
from reflex_runner.errors import HardwareError

__all__ = ["parse_answer", "parse_observation", "refuse_error", "refuse_unknown"]

OBSERVED: Final = ("state", "cameras", "task", "captured_s", "seq")
DONE: Final = ("ok", "seq")
SHOWN: Final = 60
"""Characters of a wrong line that its message repeats."""
SAID: Final = 500
FUTURE_S: Final = 0.001
"""Two programs read one clock; this much later than now is no rounding."""


def parse_answer(line: bytes, command: str, seq: int | None) -> dict[str, Any]:
    """The object on the line; `seq` is what it must repeat, where one process answers every request."""
    try:
        answer = json.loads(line.decode(), parse_constant=_no_constant)
    except UnicodeDecodeError:
        _refuse(command, f"printed bytes that are no UTF-8: {_beginning(line)}")
    except (ValueError, RecursionError):
        _refuse(command, f"printed no JSON: {_beginning(line)}; everything but the answer belongs on stderr")
    if not isinstance(answer, dict):
        _refuse(command, f"printed JSON that is no object: {_beginning(line)}")
    if seq is not None and answer.get("seq") != seq:
        _refuse(command, f'answered with "seq" {_shown(answer.get("seq"))} instead of {seq}, which it was asked with')
    return answer


def refuse_error(answer: Mapping[str, Any], command: str) -> None:
    """`{"error": "motor 3 does not answer"}` is the command's own word for what is wrong."""
    if "error" in answer:
        raise HardwareError(f"The {command} command says: {printable(str(answer['error']))[:SAID]}")


def refuse_unknown(answer: Mapping[str, Any], command: str, known: tuple[str, ...] = DONE) -> None:
    """A field that nobody reads is a slip of the pen: a camera that never arrives."""
    for name in answer:
        if name not in known:
            meant = nearest(name, known, f"; known are {', '.join(known)}")
            _refuse(command, f"answered a field {_shown(name)}{meant}")
    if "ok" in answer and answer["ok"] is not True:
        _refuse(command, f'answered "ok" {_shown(answer["ok"])}; it is true, or say {{"error": "what is wrong"}}')


def parse_observation(
    answer: Mapping[str, Any], command: str, *, asked_s: float, now_s: float, state_dim: int | None, folder: Path
) -> Observation:
    """Dated with the moment when it was asked for, unless it says its own: it can be no older."""
    refuse_unknown(answer, command, OBSERVED)
    task = answer.get("task")
    if task is not None and not isinstance(task, str):
        _refuse(command, f'answered "task" {_shown(task)}, which is no text')
    captured_s = _moment(answer, command, asked_s, now_s)
    return Observation(
        state=_state(answer.get("state"), command, state_dim),
        cameras=_cameras(answer.get("cameras", {}), command, captured_s, now_s, folder),
        task=task,
        captured_s=captured_s,
    )


def _state(given: object, command: str, state_dim: int | None) -> npt.NDArray[np.float32]:
    if not isinstance(given, list) or not given or not all(type(value) in (int, float) for value in given):
        _refuse(command, f'answered "state" {_shown(given)}; it is a list of numbers, one for each joint')
    try:
        with np.errstate(over="ignore"):
            state = np.array(given, np.float64).astype(np.float32)
    except OverflowError:
        state = np.array([np.inf], np.float32)
    if not np.isfinite(state).all():
        _refuse(command, 'answered a "state" that is not finite')
    if state_dim is not None and len(state) != state_dim:
        _refuse(command, f'answered a "state" of {len(state)} numbers instead of {state_dim}')
    return state


def _cameras(given: object, command: str, captured_s: float, now_s: float, folder: Path) -> dict[str, CameraFrame]:
    if not isinstance(given, dict):
        _refuse(command, f'answered "cameras" {_shown(given)}; it is an object with a picture by each camera\'s name')
    frames = {}
    for name, picture in given.items():
        if not isinstance(picture, dict):
            _refuse(command, f"answered the camera {_shown(name)} as {_shown(picture)}; it is an object")
        taken_s = _moment(picture, command, captured_s, now_s)
        try:
            frames[name] = CameraFrame(picture_of(picture, folder), taken_s)
        except ValueError as exc:
            _refuse(command, f"answered for the camera {_shown(name)}: {exc}")
    return frames


def _moment(given: Mapping[str, Any], command: str, otherwise_s: float, now_s: float) -> float:
    moment = given.get("captured_s")
    if moment is None:
        return otherwise_s
    if type(moment) not in (int, float) or not (0 <= moment <= now_s + FUTURE_S):
        _refuse(
            command,
            f'answered "captured_s" {_shown(moment)}; it is the moment of the measurement on the monotonic clock '
            f"of this computer (time.monotonic() of Python), which shows {now_s:.3f}",
        )
    return float(moment)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _shown(value: object) -> str:
    """Of a number without end or a list of thousands, the beginning."""
    if isinstance(value, int) and not math.isfinite(_as_float(value)):
        return "a number without end"
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _beginning(line: bytes) -> str:
    text = printable(line[:SHOWN].decode(errors="backslashreplace"))
    return f"'{text}{'...' if len(line) > SHOWN else ''}'"


def _refuse(command: str, what: str) -> NoReturn:
    raise HardwareError(f"The {command} command {what}")
