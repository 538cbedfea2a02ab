"""What is wrong with the value of a setting, in words for whoever gave it; never the value, which may be a secret."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydantic_core import ErrorDetails

__all__ = ["in_plain_words"]

WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "int_parsing": "must be a whole number",
        "int_from_float": "must be a whole number",
        "int_parsing_size": "must be a smaller whole number",
        "int_type": "must be a whole number",
        "float_parsing": "must be a number",
        "float_type": "must be a number",
        "finite_number": "must be a finite number",
        "bool_parsing": "must be true or false",
        "bool_type": "must be true or false",
        "greater_than": "must be above {gt:g}",
        "greater_than_equal": "must be at least {ge:g}",
        "less_than": "must be below {lt:g}",
        "less_than_equal": "must be at most {le:g}",
        "literal_error": "must be one of {expected}",
        "string_too_short": "must not be empty",
        "string_too_long": "must have at most {max_length} characters",
    }
)
"""By the type that Pydantic gives an error (its docs: Validation Errors); the braces are filled from its context."""


def in_plain_words(error: ErrorDetails) -> str:
    """One sentence without a subject; what has no words here keeps those of Pydantic."""
    words = WORDS.get(error["type"])
    if words is None:
        return error["msg"].removeprefix("Value error, ")
    return words.format_map(error.get("ctx", {}))
