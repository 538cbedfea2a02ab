"""One section of settings: everything in it is known, has the right type, and a slip of the pen is named."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from reflex.errors import SetupError

__all__ = ["nearest", "parse_section"]

Section = TypeVar("Section")
MISSING: Final = ("missing", "missing_argument", "missing_keyword_only_argument")
"""Pydantic's names for a setting that must be given and is not."""


def parse_section(kind: type[Section], given: Mapping[str, Any], where: str) -> Section:
    """The settings as `kind`, a frozen dataclass; `SetupError` names the key (`where` says in which section)."""
    known = tuple(inspect.signature(kind).parameters)
    unknown = [str(key) for key in given if key not in known]
    if unknown:
        raise SetupError(f"{where}: no setting is called {unknown[0]!r}{nearest(unknown[0], known)}")
    asked: Any = kind
    try:
        section: Section = _parser(asked).validate_python(dict(given))
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False, include_context=False)[0]
        path = ".".join([where, *(str(part) for part in first["loc"])])
        raise SetupError(f"{path}: {_in_words(first)}") from exc
    return section


@functools.cache
def _parser(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401  # a class is Hashable, which mypy does not see
    return TypeAdapter(kind)


def nearest(name: str, known: tuple[str, ...]) -> str:
    """The end of a sentence about an unknown name: the one that was meant, or all that there are."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; it knows {', '.join(known)}"


def _in_words(error: ErrorDetails) -> str:
    if error["type"] in MISSING:
        return "field required"
    told = error["msg"].removeprefix("Value error, ")
    return told[:1].lower() + told[1:]
