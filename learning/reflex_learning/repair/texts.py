"""What the frames of a task mean, from whatever of a dataset says so."""

from __future__ import annotations

from reflex_learning.reading.episodes import Episode
from reflex_learning.validation.survey import Survey

__all__ = ["Texts"]


class Texts:
    """By number, as `meta/tasks.parquet` says; where it does not, as the only task that the episode has."""

    def __init__(self, survey: Survey) -> None:
        self._known: dict[int, str] = {}
        self._unclear: set[int] = set()
        for number, text in survey.tasks or ():
            if self._known.setdefault(number, text) != text:
                self._unclear.add(number)

    def of(self, number: int, episode: Episode) -> str:
        """Empty where nobody knows."""
        if number in self._known and number not in self._unclear:
            return self._known[number]
        return episode.tasks[0] if len(episode.tasks) == 1 else ""
