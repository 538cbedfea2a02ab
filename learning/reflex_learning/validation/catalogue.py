"""All rules, by what they look at."""

from __future__ import annotations

from typing import Any, Final

from reflex_learning.validation.rule import Rule
from reflex_learning.validation.rules import episodes, features, films, frames, layout, shown, stats, whole
from reflex_learning.validation.rules.films import Film
from reflex_learning.validation.rules.frames import Part
from reflex_learning.validation.rules.shown import Shown
from reflex_learning.validation.survey import Survey
from reflex_learning.validation.tally import Whole

__all__ = ["ALL", "OF_FILMS", "OF_PARTS", "OF_SHOWN", "OF_SURVEY", "OF_WHOLE"]

OF_SURVEY: Final[tuple[Rule[Survey], ...]] = (*layout.RULES, *features.RULES, *episodes.RULES, *stats.RULES)
OF_PARTS: Final[tuple[Rule[Part], ...]] = frames.RULES
OF_FILMS: Final[tuple[Rule[Film], ...]] = films.RULES
OF_SHOWN: Final[tuple[Rule[Shown], ...]] = shown.RULES
OF_WHOLE: Final[tuple[Rule[Whole], ...]] = whole.RULES
ALL: Final[tuple[Rule[Any], ...]] = (*OF_SURVEY, *OF_PARTS, *OF_FILMS, *OF_SHOWN, *OF_WHOLE)
