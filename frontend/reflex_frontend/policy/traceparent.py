"""The ids by which one request is traced, and the W3C header that carries them (Trace Context, level 2)."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from reflex.wire import TRACEPARENT_HEADER, raw_name

__all__ = ["Parent", "Trace", "begin_trace", "parse_traceparent", "traceparent_of"]

HEADER: Final = raw_name(TRACEPARENT_HEADER)
FIELDS: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
FORBIDDEN_VERSION: Final = b"ff"
SAMPLED: Final = 0x01
RANDOM: Final = 0x02
"""The trace id is random; whoever goes on with the trace keeps the flag."""
RATIO_BITS: Final = 64
"""OpenTelemetry's samplers compare the lower 64 bits of the trace id: those of one trace decide alike."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The span of the client that sent the request."""

    trace_id: int
    span_id: int
    flags: int

    @property
    def is_sampled(self) -> bool:
        return bool(self.flags & SAMPLED)


@dataclass(frozen=True, slots=True)
class Trace:
    """A request whose spans will be sent. Its ids are there before anything else, so that Triton can be told."""

    trace_id: int
    span_id: int
    """The span of the whole request."""
    infer_id: int
    """The span of the call of Triton."""
    flags: int = SAMPLED
    parent_id: int | None = None

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """For the call of Triton: its spans hang below the one of the call."""
        return (("traceparent", f"00-{self.trace_id:032x}-{self.infer_id:016x}-{self.flags:02x}"),)


def parse_traceparent(header: bytes) -> Parent | None:
    """The client's span; None for what is no traceparent, which is then to be ignored (section 3.2.2)."""
    fields = FIELDS.fullmatch(header.strip(b" \t"))
    if fields is None or fields[1] == FORBIDDEN_VERSION or (fields[1] == b"00" and fields[5] is not None):
        return None
    trace_id, span_id = int(fields[2], 16), int(fields[3], 16)
    if not trace_id or not span_id:
        return None
    return Parent(trace_id, span_id, int(fields[4], 16) & (SAMPLED | RANDOM))


def traceparent_of(headers: Iterable[tuple[bytes, bytes]]) -> Parent | None:
    """The client's span among a request's headers (names in lower case); None when there is not exactly one."""
    values = [value for name, value in headers if name == HEADER]
    return parse_traceparent(values[0]) if len(values) == 1 else None


def begin_trace(parent: Parent | None, sample: float) -> Trace | None:
    """None when the request is not to be traced: the client's choice, or without one that of `sample`, 0 to 1."""
    if parent is not None:
        ids = (parent.trace_id, _fresh_id(64), _fresh_id(64))
        return Trace(*ids, parent.flags, parent.span_id) if parent.is_sampled else None
    trace_id = _fresh_id(128)
    if trace_id % 2**RATIO_BITS >= sample * 2**RATIO_BITS:
        return None
    return Trace(trace_id, _fresh_id(64), _fresh_id(64))


def _fresh_id(bits: int) -> int:
    """Not zero, which means: no id."""
    return random.getrandbits(bits) or 1
