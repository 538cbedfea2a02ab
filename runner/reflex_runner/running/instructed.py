"""`Instructed`: a connector whose observations say what is to be done in the episode that is open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from reflex.connector import Connector, Observation
from reflex.connector.marks import EpisodeMarks

__all__ = ["instructed"]


class _Instructed:
    """In all else it is the connector."""

    def __init__(self, connector: Connector, marks: EpisodeMarks) -> None:
        self._connector, self._marks = connector, marks

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever that one has
        return getattr(self._connector, name)

    def get_observation(self) -> Observation | None:
        """A task of the observation's own counts before."""
        found: Observation | None = self._connector.get_observation()
        said = self._marks.instruction
        return found if found is None or said is None or found.task is not None else replace(found, task=said)


def instructed(connector: Connector, marks: EpisodeMarks | None) -> Connector:
    """The same connector where nobody marks episodes."""
    return connector if marks is None else cast("Connector", _Instructed(connector, marks))
