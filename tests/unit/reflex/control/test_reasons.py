"""Whatever a program says becomes a reason that the control plane takes."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from reflex.control.reasons import MAX_REASON_CHARACTERS, as_reason
from reflex_control.http.routes.bodies import Reason

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
