"""The header of W3C Trace Context, byte for byte, and who decides whether a request is traced."""

from __future__ import annotations

import pytest

from reflex_frontend.policy.traceparent import Parent, Trace, begin_trace, parse_traceparent, traceparent_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01".encode()


@pytest.mark.parametrize(
    ("header", "flags"),
    [
        (GOOD, 1),
        (b" \t" + GOOD + b" ", 1),
        (GOOD[:-2] + b"00", 0),
        (GOOD[:-2] + b"03", 3),
        (GOOD[:-2] + b"ff", 3),  # flags that no level knows are not handed on
        (b"01" + GOOD[2:], 1),
        (b"cc" + GOOD[2:] + b"-what-will-be", 1),
        (b"cc" + GOOD[2:] + b"-", 1),
    ],
)
def test_a_traceparent_is_read(header: bytes, flags: int) -> None:
    assert parse_traceparent(header) == Parent(int(TRACE, 16), int(SPAN, 16), flags)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"00",
        b"nonsense",
        GOOD[:-1],
        GOOD + b"0",
        GOOD + b"-",
        GOOD + b"-more",  # only a later version may have more
        b"cc" + GOOD[2:] + b".more",
        b"ff" + GOOD[2:],
        b"0" + GOOD,
        GOOD.upper(),
        GOOD.replace(b"-", b"_"),
        GOOD.replace(TRACE.encode(), b"0" * 32),
        GOOD.replace(SPAN.encode(), b"0" * 16),
        GOOD.replace(b"4bf9", b"4bg9"),
        GOOD[:-2] + b"0x",
        GOOD + b"\n",
        "\uff10\uff10".encode() + GOOD[2:],  # digits, but not ASCII
    ],
)
def test_what_is_no_traceparent_is_ignored(header: bytes) -> None:
    assert parse_traceparent(header) is None


@pytest.mark.parametrize("copies", [0, 2])
def test_only_a_single_header_counts(copies: int) -> None:
    assert traceparent_of([(b"host", b"robot"), *[(b"traceparent", GOOD)] * copies]) is None
    assert traceparent_of([(b"host", b"robot"), (b"traceparent", GOOD)]) == parse_traceparent(GOOD)


@pytest.mark.parametrize("sample", [0.0, 1.0])
def test_the_clients_choice_counts_more_than_the_ratio(sample: float) -> None:
    parent = parse_traceparent(GOOD)
    assert parent is not None

    trace = begin_trace(parent, sample)
    assert trace is not None
    assert (trace.trace_id, trace.parent_id) == (int(TRACE, 16), int(SPAN, 16))
    assert begin_trace(parse_traceparent(GOOD[:-2] + b"00"), sample) is None


def test_a_request_without_traceparent_begins_its_own_trace() -> None:
    traces = [begin_trace(None, 1.0) for _ in range(100)]

    assert all(trace is not None and trace.parent_id is None and trace.trace_id < 2**128 for trace in traces)
    ids = {number for trace in traces if trace for number in (trace.trace_id, trace.span_id, trace.infer_id)}
    assert len(ids) == 300


@pytest.mark.parametrize("sample", [0.0, 0.1, 0.5])
def test_the_ratio_is_kept(sample: float) -> None:
    traced = sum(begin_trace(None, sample) is not None for _ in range(10_000))

    assert abs(traced / 10_000 - sample) < (0.03 if sample else 1e-9)


def test_triton_is_told_the_span_of_its_call() -> None:
    trace = Trace(trace_id=int(TRACE, 16), span_id=7, infer_id=int(SPAN, 16))

    assert trace.metadata == (("traceparent", GOOD.decode()),)
    assert Trace(1, 2, 3, flags=3).metadata == (("traceparent", f"00-{1:032x}-{3:016x}-03"),)
