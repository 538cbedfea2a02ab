"""Bodies of `POST /act`: a right one, and any number of wrong, odd and broken ones made from it."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from support.images import as_base64, encoded, photo

__all__ = ["MARK", "generated_body", "image_b64", "valid_body"]

MARK: Final = "qZ7mark9Xv"
"""Part of every text that a generated body carries, except its request_id: no answer may show it."""

FIELDS: Final = ("instruction", "state", "image_b64", "image", "images", "episode_id", "request_id", "seed")


@functools.cache
def image_b64(seed: int = 0) -> str:
    """A small JPEG in base64."""
    return as_base64(encoded(photo(seed)))


def valid_body(**fields: Any) -> dict[str, Any]:
    """A request that is answered with 200; a field given as None is left out."""
    body = {"instruction": "pick up the red cup", "state": [0.25, 0.5, 0.0, 0.0, 0.0, 0.0], "image_b64": image_b64()}
    return {name: value for name, value in {**body, **fields}.items() if value is not None}


def generated_body(seed: int) -> bytes:
    """The body number `seed`; the same number gives the same body."""
    choice = random.Random(seed)
    fields = valid_body(instruction=f"pick up {MARK}")
    for _ in range(choice.choice((0, 1, 1, 1, 2, 3))):
        _spoil_field(choice, fields)
    text = json.dumps(fields, ensure_ascii=choice.random() < 0.5)
    body = _text_trick(choice, text).encode("utf-8", "surrogatepass")
    return _spoil_bytes(choice, body) if choice.random() < 0.4 else body


def _spoil_field(choice: random.Random, fields: dict[str, Any]) -> None:
    name = choice.choice((*FIELDS, f"unknown_{MARK}"))
    if choice.random() < 0.2:
        fields.pop(name, None)
    elif choice.random() < 0.5:
        fields[name] = choice.choice(_LIKELY.get(name, (None,)))
    else:
        fields[name] = _any_value(choice, depth=0)


def _any_value(choice: random.Random, depth: int) -> Any:
    kind = choice.randrange(8 if depth < 4 else 6)
    if kind < 3:
        return choice.choice(_SCALARS)
    if kind == 3:
        return MARK + "".join(chr(choice.choice(_CODE_POINTS)) for _ in range(choice.randrange(6)))
    if kind == 4:
        return choice.uniform(-1, 1) * 10.0 ** choice.randrange(-320, 308)
    if kind == 5:
        return choice.randrange(-(2 ** choice.randrange(1, 90)), 2 ** choice.randrange(1, 90))
    items = [_any_value(choice, depth + 1) for _ in range(choice.randrange(5))]
    return items if kind == 6 else {f"{MARK}{index}": item for index, item in enumerate(items)}


def _text_trick(choice: random.Random, text: str) -> str:
    trick = choice.randrange(24)
    if trick == 0:
        return text.replace("0.25", choice.choice(("NaN", "Infinity", "-Infinity", "1e999", "-0", "0x1", "1_0", "01")))
    if trick == 1:
        return text[:-1] + f', "state": [1], "instruction": "{MARK}"}}'
    if trick == 2:
        return "[" * choice.randrange(1, 3000) + text
    if trick == 3:
        return text.replace(MARK, MARK + choice.choice(("\\ud800", "\\u0000", "\\udfff\\ud800", "\\x41", "\n", "\\")))
    if trick == 4:
        return text[:-1] + ', "image": ' + _nested_image(choice) + "}"
    if trick == 5:
        return choice.choice(("\ufeff", " \t\r\n", "\u00a0", "//", "\x00", "\ud800")) + text
    return text


def _nested_image(choice: random.Random) -> str:
    height, width, channels = choice.randrange(0, 4), choice.randrange(0, 4), choice.choice((1, 2, 3, 3, 3, 4))
    sample: Any = choice.choice((0, 255, 256, -1, 0.5, 1e30, None, True, MARK, MARK * 1000, [], {}, 2**70))
    rows: list[Any] = [[[choice.randrange(256) for _ in range(channels)] for _ in range(width)] for _ in range(height)]
    if rows and rows[-1] and rows[-1][-1] and choice.random() < 0.7:
        spoilt: Sequence[Callable[[], None]] = (
            lambda: rows[-1][-1].__setitem__(-1, sample),
            lambda: rows[-1].__setitem__(-1, sample),
            lambda: rows.__setitem__(-1, sample),
        )
        choice.choice(spoilt)()
    return json.dumps(rows)


def _spoil_bytes(choice: random.Random, body: bytes) -> bytes:
    data = bytearray(body)
    for _ in range(choice.choice((1, 1, 2, 5))):
        at = choice.randrange(len(data) + 1)
        kind = choice.randrange(5)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << choice.randrange(8)
        elif kind == 1:
            del data[at : at + choice.randrange(1, 40)]
        elif kind == 2:
            data[at:at] = choice.choice(_BYTES)
        elif kind == 3:
            del data[at:]
        else:
            data[at:at] = data[choice.randrange(len(data) + 1) :][:200]
    return bytes(data)


_SCALARS: Final[Sequence[Any]] = (
    None, True, False, 0, 1, -1, 0.0, -0.0, 0.5, 1e308, -1e308, 5e-324, 3.5e38, 2**31, 2**53, 2**63 - 1, 2**63, 2**64,
    -(2**63) - 1, 10**30, "", "0", " ", "null", MARK, MARK + "\u202e", "\ud800" + MARK, [], {}, [[]], [None], [[[]]],
)  # fmt: skip
_CODE_POINTS: Final = (0, 9, 10, 0x1B, 0x20, 0x41, 0x7F, 0x85, 0xA0, 0xE9, 0x2028, 0xD800, 0xDFFF, 0xFFFE, 0x1F916)
_BYTES: Final = (b"\x00", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b'"', b"{", b"]",
                 b"\\u", b"\r\n\r\n", b"1e9999", b"NaN")  # fmt: skip
_LIKELY: Final[dict[str, Sequence[Any]]] = {
    "instruction": (MARK * 60, (MARK * 52)[:512], (MARK * 52)[:513], "", "\u00e9" * 512, "\U0001f916" * 513),
    "state": ([0.0] * 6, [0.0] * 5, [0.0] * 7, [], [[0.0] * 6], [True] * 6, ["0"] * 6, [1e39] * 6,
              [1e9] * 6, [1.1e9] * 6, [10**40] * 6, [-0.0] * 6, [None] * 6, [0] * 100_000),
    "image_b64": ("", "A", "====", MARK, image_b64()[:-9], "data:image/jpeg;base64," + image_b64(), "data:", "\u00e9",
                  image_b64() + "\n", " ".join(image_b64()), "/9j/" + "A" * 5000, "iVBORw0KGgo" + "A" * 5001),
    "image": ("", image_b64(), [], [[]], [[[]]], [[[0, 0, 0]]], [[[0, 0, 256]]], [[[0, 0]]], [[[0.5, 0, 0]]],
              [[[0, 0, MARK]]], [[[0, 0, 0]], [[0, 0, 0], [0, 0, 0]]], [[[[0]]]], {}, 0),
    "images": ({}, {"image": image_b64()}, {"image": None}, {"image": ""}, {MARK: image_b64()}, [], image_b64(),
               {"image": [[[0, 0, 0]]]}, {"image": image_b64(), MARK: ""}),
    "episode_id": (MARK, "", "x" * 256, "x" * 257, "a\u0000b", "a\nb", "\u200b", "\u00e9", 7),
    "request_id": ("r1", "", "x" * 256, "x" * 257, "a\u0000b", "\u00e9", "\u202e", 7),
    "seed": (0, 1, -1, 2**63 - 1, 2**63, 2**64, 1.0, 1.5, "1", True),
}  # fmt: skip
