from __future__ import annotations

import itertools
import re

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hyperframe.frame import Frame as TheirFrame
from hypothesis import given
from hypothesis import strategies as st

from reflex_frontend.errors import Http2Error
from reflex_frontend.triton.http2 import frames
from reflex_frontend.triton.http2.frames import (
    Frame,
    FrameReader,
    frame,
    settings_frame,
    settings_in,
    u32,
)

MOST = 20_000


def read(data: bytes, cuts: list[int] | None = None) -> list[Frame]:
    reader = FrameReader(MOST)
    found: list[Frame] = []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts or []), len(data)]
    for start, end in itertools.pairwise(edges):
        found += reader.feed(data[start:end])
    return found


def framed(kind: int, flags: int, stream: int, payload: bytes) -> Frame:
    return Frame(kind, flags, stream, payload, len(payload))


def written(sent: list[Frame]) -> bytes:
    return b"".join(frame(each.kind, each.flags, each.stream, each.payload) for each in sent)


@st.composite
def sequences(draw: st.DrawFn) -> list[Frame]:
    one = st.builds(
        framed,
        st.sampled_from([frames.DATA, frames.HEADERS, frames.SETTINGS, frames.PING, frames.GOAWAY, 0x77]),
        st.sampled_from([0, frames.END_STREAM, frames.END_HEADERS]),
        st.integers(0, (1 << 31) - 1),
        st.binary(max_size=40) | st.sampled_from([bytes(MOST), b"\x00\x00"]),
    )
    return draw(st.lists(one, max_size=6))


@pytest.mark.parametrize(
    "theirs",
    [DataFrame, HeadersFrame, RstStreamFrame, SettingsFrame, PushPromiseFrame, PingFrame, GoAwayFrame,
     WindowUpdateFrame, ContinuationFrame],
)  # fmt: skip
def test_kinds_and_flags_have_the_numbers_of_another_implementation(theirs: type[TheirFrame]) -> None:
    name = (
        re.sub(r"(?<=[a-z])(?=[A-Z])", "_", theirs.__name__.removesuffix("Frame")).upper().replace("GO_AWAY", "GOAWAY")
    )
    assert getattr(frames, name) == theirs.type
    assert all(getattr(frames, flag.name) == flag.bit for flag in theirs.defined_flags)


@given(sequences(), st.lists(st.integers(0, 60_000), max_size=8))
def test_frames_are_the_same_however_their_bytes_come(sent: list[Frame], cuts: list[int]) -> None:
    assert read(written(sent), cuts) == sent


def test_frames_come_byte_by_byte_too() -> None:
    sent = [framed(frames.DATA, 0, 1, b"abc"), framed(frames.PING, 1, 0, bytes(8)), framed(frames.SETTINGS, 1, 0, b"")]
    data = written(sent)
    assert read(data, list(range(len(data)))) == sent


@given(st.integers(0, (1 << 31) - 1).map(lambda number: number or 1), st.binary(max_size=50))
def test_a_frame_is_what_another_implementation_reads(stream: int, payload: bytes) -> None:
    theirs, length = TheirFrame.parse_frame_header(
        memoryview(frame(frames.DATA, frames.END_STREAM, stream, payload)[:9])
    )
    theirs.parse_body(memoryview(payload))
    assert (type(theirs), theirs.stream_id, length, set(theirs.flags)) == (
        DataFrame, stream, len(payload), {"END_STREAM"}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("theirs", "payload"),
    [
        (DataFrame(3, b"body", pad_length=7, flags=["PADDED"]), b"body"),
        (DataFrame(3, b"", pad_length=255, flags=["PADDED"]), b""),
        (HeadersFrame(3, b"block", pad_length=2, flags=["PADDED", "END_HEADERS"]), b"block"),
        (HeadersFrame(3, b"block", depends_on=1, stream_weight=9, flags=["PRIORITY", "END_STREAM"]), b"block"),
        (HeadersFrame(3, b"block", depends_on=1, pad_length=1, flags=["PRIORITY", "PADDED"]), b"block"),
        (ContinuationFrame(3, b"more", flags=["END_HEADERS"]), b"more"),
        (WindowUpdateFrame(0, window_increment=77), (77).to_bytes(4, "big")),
        (GoAwayFrame(0, last_stream_id=5, error_code=11), bytes((0, 0, 0, 5, 0, 0, 0, 11))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_another_implementation_writes_is_read_without_padding_and_priority(
    theirs: TheirFrame, payload: bytes
) -> None:
    (found,) = read(theirs.serialize())
    assert (found.kind, found.stream, found.payload) == (theirs.type, theirs.stream_id, payload)
    assert found.size == len(theirs.serialize()) - 9


def test_settings_are_what_another_implementation_reads_and_writes() -> None:
    ours = {0x1: 0, 0x4: 1 << 28, 0x5: 1 << 20}
    data = settings_frame(ours)
    theirs = SettingsFrame()
    theirs.parse_body(memoryview(data[9:]))
    assert theirs.settings == ours
    assert dict(settings_in(theirs.serialize_body())) == ours


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "a frame of 4,740,180 bytes, where 20,000 are allowed"),
        (frame(frames.DATA, 0, 1, bytes(MOST + 1)), "a frame of 20,001 bytes, where 20,000 are allowed"),
        (frame(frames.DATA, 0x8, 1, b"\x05abcd"), "more padding than bytes"),
        (frame(frames.DATA, 0x8, 1, b""), "more padding than bytes"),
        (frame(frames.HEADERS, 0x20, 1, b"abcd"), "more padding than bytes"),
    ],
    ids=["HTTP/1.1", "too long", "padding", "no padding", "no priority"],
)
def test_what_is_no_frame_is_refused_in_words(data: bytes, says: str) -> None:
    with pytest.raises(Http2Error, match=re.escape(says)):
        read(data)


@pytest.mark.parametrize("size", [1, 5, 7, 11])
def test_settings_that_are_cut_off_are_refused(size: int) -> None:
    with pytest.raises(Http2Error, match="cut off"):
        dict(settings_in(bytes(size)))


@pytest.mark.parametrize(("payload", "offset"), [(b"", 0), (b"abc", 0), (b"abcdefg", 4)])
def test_a_number_that_is_not_there_is_refused(payload: bytes, offset: int) -> None:
    with pytest.raises(Http2Error, match="too short"):
        u32(payload, offset)


def test_the_reserved_bit_of_a_number_says_nothing() -> None:
    assert u32(b"\xff\xff\xff\xff") == (1 << 31) - 1
    assert u32(b"\x80\x00\x00\x07") == 7
