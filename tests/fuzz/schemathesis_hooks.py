"""What schemathesis must know of our schema. Its command line loads this module by SCHEMATHESIS_HOOKS."""

from __future__ import annotations

from typing import Any, Final

import schemathesis
from hypothesis import strategies as st

from support.images import as_base64, encoded, photo

MAX_ID_CHARACTERS: Final = 256
DEADLINE: Final = "X-Reflex-Deadline-Ms"
EASY_DEADLINE_MS: Final = 1_000

images = st.builds(
    lambda seed, kind, height, width: as_base64(encoded(photo(seed, height, width), kind)),
    st.integers(0, 50),
    st.sampled_from(("JPEG", "PNG")),
    st.integers(1, 12),
    st.integers(1, 12),
)
printable = st.text(st.characters(codec="utf-8").filter(str.isprintable), min_size=1, max_size=MAX_ID_CHARACTERS)

schemathesis.openapi.format("image-base64", images)
schemathesis.openapi.format("printable", printable)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Valid deadlines that no server can keep get longer: 504 is the right answer to 1 ms, but reads as a failure."""
    asked = str((case.headers or {}).get(DEADLINE))
    if asked.isascii() and asked.isdigit() and 1 <= int(asked) < EASY_DEADLINE_MS:
        case.headers[DEADLINE] = str(EASY_DEADLINE_MS)
