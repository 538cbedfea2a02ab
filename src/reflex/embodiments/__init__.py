"""Embodiments: what a robot's state and action axes are, and the limits that `ActionGuard` holds actions to.

One JSON file per embodiment. Safety fails closed: a file that cannot be read, or that is incomplete or contradicts
itself, is a `SetupError` and nothing is served. docs/embodiments.md says how to write one.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from pydantic import ConfigDict, TypeAdapter, ValidationError

from reflex.embodiments.stop_ladder import LADDER, Rung, StopLadder
from reflex.errors import SetupError
from reflex.wording.guides import guide

__all__ = [
    "LADDER",
    "NAME_PATTERN",
    "NAME_RULE",
    "Embodiment",
    "LimitSource",
    "Rung",
    "StopLadder",
    "bundled_embodiments",
    "check_embodiment",
    "first_complaint",
    "load_embodiment",
    "parse_embodiment",
]

NAME_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""The name becomes a label of the metrics."""
NAME_RULE: Final = "must be 1 to 64 lowercase letters, digits, _ or -, and start with a letter or digit"
LARGEST_LIMIT: Final = 1e6
"""In any unit. A larger number is a typing error, or a "no limit" in disguise."""
SMALLEST_STEP: Final = 1e-6
"""In any unit. An axis that may move less than this is not being controlled."""
LARGEST_CONTROL_HZ: Final = 10_000.0

_STRICT: Final = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class LimitSource:
    """Where numbers come from: `what` they are, and the document (`source`) in which a reader finds them."""

    __pydantic_config__ = _STRICT
    what: str
    source: str


@dataclass(frozen=True, slots=True)
class Embodiment:
    """A robot as a policy sees it. Every tuple has one entry per axis, in the order of the vectors of `/act`.

    Raises `ValueError` when the fields contradict each other.
    """

    __pydantic_config__ = _STRICT
    name: str
    description: str
    state_names: tuple[str, ...]
    state_units: tuple[str, ...]
    mean_state: tuple[float, ...]
    """A typical state; its length is the length that `/act` asks of `state`."""
    action_names: tuple[str, ...]
    action_units: tuple[str, ...]
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    action_max_step: tuple[float, ...]
    """Largest change of an axis between two consecutive actions of a chunk, in the axis' unit."""
    control_hz: float
    """Actions of a chunk executed per second."""
    sources: tuple[LimitSource, ...]
    simulation: bool = False
    """No real robot has these axes: a policy for them moves nothing but a simulated one."""
    stop_ladder: StopLadder | None = None
    """How the robot is stopped. A server needs none; `reflex connect` moves no robot without one."""

    def __post_init__(self) -> None:
        _refuse_bad_names(self)
        _refuse_unequal_lengths("mean_state", self.state_names, self.state_units, self.mean_state)
        _refuse_unequal_lengths(
            "action_*", self.action_names, self.action_units, self.action_low, self.action_high, self.action_max_step
        )
        _refuse_bad_limits(self)
        _refuse_unreachable_mean(self)
        if self.stop_ladder is not None:
            top_speed = [step * self.control_hz for step in self.action_max_step]
            self.stop_ladder.refuse_other_axes(self.action_names, self.action_low, self.action_high, top_speed)

    @property
    def state_dim(self) -> int:
        """Values in a state."""
        return len(self.mean_state)

    @property
    def action_dim(self) -> int:
        """Values in an action."""
        return len(self.action_names)


_PARSER: Final = TypeAdapter(Embodiment)


def bundled_embodiments() -> tuple[str, ...]:
    """Names of the embodiments that come with Reflex, sorted."""
    files = resources.files(__package__).iterdir()
    return tuple(sorted(file.name.removesuffix(".json") for file in files if file.name.endswith(".json")))


def load_embodiment(name_or_path: str) -> Embodiment:
    """Load a bundled embodiment by name, or any other by the path of its JSON file.

    A bundled name wins over a file of that name; write `./franka` for the file. Raises `SetupError` saying what to fix.
    """
    if name_or_path in bundled_embodiments():
        return parse_embodiment(name_or_path, _read(resources.files(__package__) / f"{name_or_path}.json"))
    if name_or_path.endswith(".json") or "/" in name_or_path:
        return parse_embodiment(name_or_path, _read(Path(name_or_path)))
    raise SetupError(
        f"no embodiment is called {name_or_path!r}; use one of {', '.join(bundled_embodiments())}, "
        f"or the path of a JSON file (`reflex init embodiment` begins one; see {guide('embodiments')})"
    )


def parse_embodiment(origin: str, text: bytes) -> Embodiment:
    """Read JSON that is one embodiment; `SetupError`, which calls it `origin`, says what is wrong in it."""
    try:
        return check_embodiment(text.removeprefix(codecs.BOM_UTF8))  # some editors begin a file with it
    except ValidationError as exc:
        raise SetupError(f"embodiment {origin}: {first_complaint(exc)}; correct the file") from exc
    except ValueError as exc:
        raise SetupError(f"embodiment {origin}: {exc}; correct the file") from exc


def check_embodiment(text: bytes) -> Embodiment:
    """JSON that is one embodiment; any other is a `ValueError` or, of its parser, a `ValidationError`."""
    embodiment = _PARSER.validate_json(text)
    json.loads(text, object_pairs_hook=_refuse_duplicate_keys)
    return embodiment


_WORDS: Final = {"unexpected_keyword_argument": "no such field is known", "missing": "the field is missing"}
"""By the type that Pydantic gives an error; what has no words here keeps its own."""


def first_complaint(error: ValidationError) -> str:
    """The first field that is wrong, and what is wrong with it."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    reason = _WORDS.get(first["type"]) or first["msg"].removeprefix("Value error, ")
    return f"{where}: {reason}" if where else reason


def _read(file: Traversable) -> bytes:
    try:
        return file.read_bytes()
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise SetupError(
            f"embodiment file {file} cannot be read ({reason}), and without limits no robot may be served; "
            f"correct the path or use one of {', '.join(bundled_embodiments())}"
        ) from exc


def _refuse_duplicate_keys(pairs: list[tuple[str, object]]) -> None:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:  # JSON parsers keep the last one silently: which limits did the author mean?
            raise ValueError(f"{key} is given twice")


def _refuse_bad_names(embodiment: Embodiment) -> None:
    if not NAME_PATTERN.fullmatch(embodiment.name):
        raise ValueError(f"name {NAME_RULE}")
    for field, names in (("state_names", embodiment.state_names), ("action_names", embodiment.action_names)):
        if not names:
            raise ValueError(f"{field} must name at least one axis")
        if not all(names) or len(set(names)) != len(names):
            raise ValueError(f"{field} must be different from each other and not empty")
    if not all(embodiment.state_units + embodiment.action_units):
        raise ValueError("state_units and action_units must not be empty; write 1 for a number without a unit")
    texts = [text for entry in embodiment.sources for text in (entry.what, entry.source)]
    if not texts or not all(texts):
        raise ValueError("sources must say for each limit what it is and which document it comes from")


def _refuse_unequal_lengths(what: str, *fields: Sequence[object]) -> None:
    lengths = [len(field) for field in fields]
    if len(set(lengths)) != 1:
        raise ValueError(f"names, units and numbers of {what} must have one entry per axis, but have {lengths}")


def _refuse_bad_limits(embodiment: Embodiment) -> None:
    axes = zip(
        embodiment.action_names,
        embodiment.action_low,
        embodiment.action_high,
        embodiment.action_max_step,
        strict=True,
    )
    for name, low, high, max_step in axes:
        # Written so that a NaN, which compares false with everything, is refused too.
        if not -LARGEST_LIMIT <= low < high <= LARGEST_LIMIT:
            raise ValueError(f"{name}: action_low must be below action_high, both within ±{LARGEST_LIMIT:g}")
        if not SMALLEST_STEP <= max_step <= 2 * LARGEST_LIMIT:
            raise ValueError(f"{name}: action_max_step must be between {SMALLEST_STEP:g} and {2 * LARGEST_LIMIT:g}")
    if not 0 < embodiment.control_hz <= LARGEST_CONTROL_HZ:
        raise ValueError(f"control_hz must be above 0 and at most {LARGEST_CONTROL_HZ:g}")


def _refuse_unreachable_mean(embodiment: Embodiment) -> None:
    """A state axis that is also an action axis (same name, same unit) must have its mean inside the action's range."""
    action_axes = list(zip(embodiment.action_names, embodiment.action_units, strict=True))
    for name, unit, mean in zip(embodiment.state_names, embodiment.state_units, embodiment.mean_state, strict=True):
        if not -LARGEST_LIMIT <= mean <= LARGEST_LIMIT:
            raise ValueError(f"{name}: mean_state must be a finite number within ±{LARGEST_LIMIT:g}")
        if (name, unit) in action_axes:
            axis = action_axes.index((name, unit))
            if not embodiment.action_low[axis] <= mean <= embodiment.action_high[axis]:
                raise ValueError(f"{name}: mean_state lies outside the range of the action of the same name")
