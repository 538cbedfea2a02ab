"""What is known of a robot before it is started: what its connector says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reflex.connector import Connector
from reflex.embodiments import Embodiment

__all__ = ["RobotFacts", "facts_of"]

OWN_CAMERAS: Final[Mapping[str, tuple[str, ...]]] = {"sim": ("front", "wrist"), "so101": ()}
"""What the connectors of these kinds bring with each state."""


@dataclass(frozen=True, slots=True)
class RobotFacts:
    """None is what the connector does not say."""

    kind: str
    is_simulated: bool
    embodiment: str | None = None
    """The name of what it says to be."""
    units: tuple[str, ...] | None = None
    """Of its state."""
    cameras: tuple[str, ...] | None = None
    """Those of its own observations, beside the ones of robot.yaml."""
    calibration_id: str | None = None
    details: Embodiment | None = None
    """Where the connector brings an embodiment of its own."""


def facts_of(kind: str, connector: Connector) -> RobotFacts:
    """Read from the attributes that a connector may have beside its five methods."""
    embodiment = getattr(connector, "embodiment", None)
    return RobotFacts(
        kind=kind,
        is_simulated=kind == "sim" or getattr(connector, "is_simulation", False) is True,
        embodiment=embodiment.name if isinstance(embodiment, Embodiment) else _text(embodiment),
        units=_texts(getattr(connector, "units", None)),
        cameras=_texts(getattr(connector, "camera_names", OWN_CAMERAS.get(kind))),
        calibration_id=_text(getattr(connector, "calibration_id", None)),
        details=embodiment if isinstance(embodiment, Embodiment) else None,
    )


def _text(found: Any) -> str | None:  # noqa: ANN401  # an attribute of somebody's class
    return found if isinstance(found, str) else None


def _texts(found: Any) -> tuple[str, ...] | None:  # noqa: ANN401  # likewise
    is_some = isinstance(found, tuple | list) and all(isinstance(each, str) for each in found)
    return tuple(found) if is_some else None
