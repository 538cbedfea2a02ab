"""Edits of config.pbtxt that leave everything else as it stands, comments and hand-written settings too.

protobuf's own parser would drop the comments, and the messages' definitions come with the server, not the exporter.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from reflex_export.engines.errors import ConfigTextError

__all__ = ["Field", "backend_of", "component_names", "max_batch_size", "read_fields", "with_backend"]

TOKEN: Final = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*)|(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"""|(?P<open>[\[{<])|(?P<close>[\]}>])|(?P<mark>[:,;])|(?P<word>[^\s\#"'\[\]{}<>:,;]+)"""
)
MODEL_NAME: Final = re.compile(r"""\bmodel_name\s*:\s*["']([^"']+)["']""")
BACKEND_FIELDS: Final = frozenset(
    {"backend", "platform", "runtime", "default_model_filename", "optimization", "model_warmup"}
)
"""What belongs to one backend, and must not be left when another takes its place."""


@dataclass(frozen=True)
class Field:
    """One top-level field; `text[start:end]` is all of it, `value` what stands after the name."""

    name: str
    value: str
    start: int
    end: int


def read_fields(text: str) -> list[Field]:
    """The top-level fields in order; a repeated field is several."""
    tokens = list(_tokens(text))
    fields = []
    at = 0
    while at < len(tokens):
        first = tokens[at]
        if first.lastgroup != "word":
            raise ConfigTextError(f"a field's name should stand at character {first.start()}, not {first[0]!r}")
        value_at = at + 2 if at + 1 < len(tokens) and tokens[at + 1][0] == ":" else at + 1
        end_at = _value_end(tokens, value_at)
        start, end = first.start(), tokens[end_at - 1].end()
        fields.append(Field(first[0], text[tokens[value_at].start() : end], start, end))
        at = end_at + 1 if end_at < len(tokens) and tokens[end_at][0] in ",;" else end_at
    return fields


def max_batch_size(text: str) -> int:
    """0 when the model does not batch."""
    values = [field.value for field in read_fields(text) if field.name == "max_batch_size"]
    return int(values[-1]) if values else 0


def backend_of(text: str) -> str:
    """What loads the model, also where it is called by its older name `platform`; empty when it says neither."""
    return next((field.value.strip("\"'") for field in read_fields(text) if field.name in ("backend", "platform")), "")


def component_names(ensemble_text: str) -> list[str]:
    """The models that an ensemble chains, in order."""
    scheduling = [field.value for field in read_fields(ensemble_text) if field.name == "ensemble_scheduling"]
    return list(dict.fromkeys(MODEL_NAME.findall("\n".join(scheduling))))


def with_backend(text: str, backend: str, blocks: Sequence[str] = ()) -> str:
    """The same config for another backend: its name in the old one's place, its own `blocks` at the end."""
    fields = [field for field in read_fields(text) if field.name in BACKEND_FIELDS]
    line = f'backend: "{backend}"'
    place = next((field for field in fields if field.name in ("backend", "platform")), None)
    kept = _without(text, [field for field in fields if field is not place])
    if place is None:
        kept = f"{line}\n{kept}"
    else:  # what is taken away before it moves it
        start = place.start - sum(_removed(text, field) for field in fields if field.end <= place.start)
        kept = kept[:start] + line + kept[start + place.end - place.start :]
    return "\n".join([kept.rstrip("\n"), *blocks]) + "\n"


def _tokens(text: str) -> Iterator[re.Match[str]]:
    at = 0
    while at < len(text):
        token = TOKEN.match(text, at)
        if token is None:
            raise ConfigTextError(f"a string is not closed at character {at}")
        at = token.end()
        if token.lastgroup != "skip":
            yield token


def _value_end(tokens: list[re.Match[str]], at: int) -> int:
    """The index after a value: one word, adjacent strings, or everything to the matching bracket."""
    if at >= len(tokens):
        raise ConfigTextError("the text ends where a value should stand")
    if tokens[at].lastgroup == "string":
        while at < len(tokens) and tokens[at].lastgroup == "string":
            at += 1
        return at
    if tokens[at].lastgroup == "word":
        return at + 1
    depth = 0
    for index in range(at, len(tokens)):
        depth += {"open": 1, "close": -1}.get(tokens[index].lastgroup or "", 0)
        if depth == 0:
            return index + 1
    raise ConfigTextError("a bracket is not closed")


def _without(text: str, fields: Collection[Field]) -> str:
    for field in sorted(fields, key=lambda field: field.start, reverse=True):
        text = text[: field.start] + text[field.start + _removed(text, field) :]
    return text


def _removed(text: str, field: Field) -> int:
    """How many characters go with a field: also what separates it from the next, and a line that it leaves empty."""
    rest = re.compile(r"[ \t]*[,;]?[ \t]*").match(text, field.end)
    end = rest.end() if rest else field.end
    starts_line = field.start == 0 or text[field.start - 1] == "\n"
    if starts_line and text[end : end + 1] == "\n":
        end += 1
    return end - field.start
