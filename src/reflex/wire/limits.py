"""The limits of a request: what the parser refuses, the OpenAPI document says, and the client keeps to."""

from __future__ import annotations

from typing import Final

__all__ = [
    "DEFAULT_DEADLINE_MS",
    "LARGEST_STATE",
    "MAX_ANSWER_BYTES",
    "MAX_BODY_BYTES",
    "MAX_CHUNK_STEPS",
    "MAX_DEADLINE_MS",
    "MAX_HEADERS",
    "MAX_HEADER_BYTES",
    "MAX_ID_CHARACTERS",
    "MAX_INSTRUCTION_CHARACTERS",
    "MAX_NUMBERS",
    "MAX_PIXELS",
    "MAX_SEED",
    "MIN_DEADLINE_MS",
]

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
MAX_HEADER_BYTES: Final = 64 * 1024
MAX_HEADERS: Final = 256
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""A client reads no more of an answer; those of a server have a hundredth of it."""
MAX_INSTRUCTION_CHARACTERS: Final = 512
MAX_ID_CHARACTERS: Final = 256
"""Of an episode_id and of a request_id; at least one, and all of them printable."""
MAX_NUMBERS: Final = 1_000_000
"""About 10 ms of parsing: an image of 640 x 480 as raw numbers, and a little more."""
MAX_PIXELS: Final = 4_000_000
MAX_SEED: Final = 2**63 - 1
MAX_CHUNK_STEPS: Final = 10_000
"""Of any policy; each has its own horizon."""
LARGEST_STATE: Final = 1e9
"""In any unit: no robot has one; beyond, normalisation may overflow and a client would look like a broken model."""
MIN_DEADLINE_MS: Final = 1
DEFAULT_DEADLINE_MS: Final = 1_000
MAX_DEADLINE_MS: Final = 10_000
