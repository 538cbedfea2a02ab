"""Whatever a program says becomes a text that the control plane takes."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from reflex.control.texts import MAX_NAME_CHARACTERS, MAX_REASON_CHARACTERS, as_name, as_reason
from reflex_control.http.routes.bodies import Name, Reason

LONGEST = "a" * MAX_REASON_CHARACTERS


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("trained 100 steps", "trained 100 steps"),
        ("Traceback:\n  File\tx\r\nValueError", "Traceback: File x ValueError"),
        ("\x1b[31mred\x00\ud800", r"\x1b[31mred\x00\ud800"),
        (" \n", "not said"),
        (LONGEST, LONGEST),
        (f"{LONGEST}b", f"{LONGEST[1:]}…"),
        ("\x00" * 999, "\\x00" * 249 + "\\x0…"),
    ],
    ids=["as it is", "lines", "escapes", "nothing", "longest", "too long", "long once escaped"],
)
def test_a_reason_is_one_line_that_is_taken(text: str, told: str) -> None:
    assert as_reason(text) == told
    assert TypeAdapter(Reason).validate_python(told) == told


@pytest.mark.parametrize("text", ["sha256:1", "loss\n\ud800", "\x00" * MAX_NAME_CHARACTERS])
def test_a_name_is_one_that_is_taken(text: str) -> None:
    told = as_name(text)
    assert TypeAdapter(Name).validate_python(told) == told
    assert as_name("") is None
