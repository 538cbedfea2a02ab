"""An embodiment from a URDF: its movable joints, with the limits and top speeds that it gives them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reflex.cli.init.draft import Axis, Draft
from reflex.errors import SetupError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["draft_from_urdf"]

UNITS: Final = {"revolute": "rad", "continuous": "rad", "prismatic": "m"}


def draft_from_urdf(file: Path, name: str, control_hz: float) -> Draft:
    """Raises `SetupError` for what is no URDF, and for a joint without the limits that it must have."""
    joints = list(_movable(_root(file)))
    if not joints:
        raise SetupError(f"{file} has no joint that moves; give the URDF of the whole arm")
    axes = [_axis(joint, control_hz, file) for joint in joints]
    return Draft(
        name=name,
        description=f"{name}: joint positions of {file.name}.",
        control_hz=control_hz,
        axes=axes,
        state=[(axis.name, axis.unit, min(max(0.0, axis.low), axis.high)) for axis in axes],
        sources=(
            ("action_low, action_high: limit of each joint; a full turn where it may turn for ever", file.name),
            ("action_max_step: velocity of each joint's limit divided by control_hz", file.name),
            ("control_hz, and the order of the axes", "check both against the policy"),
        ),
    )


def _root(file: Path) -> Element:
    import xml.etree.ElementTree as ET

    try:
        root = ET.fromstring(file.read_bytes())  # noqa: S314 - the user's own file; Expat bounds what entities grow to
    except OSError as exc:
        raise SetupError(f"{file} cannot be read ({exc.strerror}); give a URDF") from exc
    except (ET.ParseError, ValueError, LookupError) as exc:
        raise SetupError(f"{file} is not XML ({exc}); give a URDF, and expand a xacro first") from exc
    if root.tag != "robot":
        raise SetupError(f"{file} is no URDF: its root is <{root.tag}>, not <robot>")
    return root


def _movable(root: Element) -> Iterator[Element]:
    """Without those that only follow another joint."""
    for joint in root.iter("joint"):
        if joint.get("type") in UNITS and joint.find("mimic") is None:
            yield joint


def _axis(joint: Element, control_hz: float, file: Path) -> Axis:
    name, kind = joint.get("name", ""), joint.get("type", "")
    turns = kind == "continuous"
    low = -math.pi if turns else _limit(joint, "lower", file)
    high = math.pi if turns else _limit(joint, "upper", file)
    return Axis(name, UNITS[kind], low, high, _limit(joint, "velocity", file) / control_hz)


def _limit(joint: Element, attribute: str, file: Path) -> float:
    limit = joint.find("limit")
    given = None if limit is None else limit.get(attribute, "0" if attribute != "velocity" else None)
    where = f"{file}: joint {joint.get('name')!r}"
    if not given:
        raise SetupError(f"{where} has no {attribute} in its <limit>; without it nothing may move it")
    try:
        value = float(given)
    except ValueError:
        raise SetupError(f"{where}: {attribute}={given!r} is no number; expand the xacro first") from None
    if not math.isfinite(value):
        raise SetupError(f"{where}: {attribute}={given!r} is no finite number; nothing was written")
    return value
