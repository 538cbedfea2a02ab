"""Servers of which every frame is written by hand: what is an answer in spite of it, and what is none."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
import hpack
import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from reflex_frontend.triton.channel import Channel
from reflex_frontend.triton.http2 import silence
from support.streams.http2_calls import PATH
from support.streams.http2_peer import OK_FIELDS, OK_STATUS, prefixed
from support.streams.listening import Handle, listening
from support.waiting import HANGS_S, eventually

FIELDS = HeadersFrame(1, hpack.Encoder().encode(OK_FIELDS), flags=["END_HEADERS"])
END = HeadersFrame(1, hpack.Encoder().encode(OK_STATUS), flags=["END_HEADERS", "END_STREAM"])
HALVES = hpack.Encoder().encode([("grpc-status", "13"), ("grpc-message", "x" * 40_000)])
ANSWER = DataFrame(1, prefixed(b"!"))


def test_a_call_that_is_given_up_is_told_with_the_frame_that_says_so() -> None:
    sent = bytearray()

    async def main() -> None:
        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(SETTINGS.serialize())
            while data := await reader.read(65_536):
                sent.extend(data)

        reset = RstStreamFrame(1, error_code=8).serialize()
        async with listening(listen) as port, Channel(f"127.0.0.1:{port}") as channel:
            call = asyncio.create_task(channel.call(PATH, b"?", timeout_s=None))
            await eventually(lambda: sent.endswith(prefixed(b"?")), "the call is there")
            call.cancel()
            await eventually(lambda: sent.endswith(reset), "it is told")

    asyncio.run(main())
    assert bytes(sent).startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")


Written = tuple[Frame | bytes, ...]


def talking(answer: Written, then: Written = ()) -> Handle:
    """Begins with its settings, if it has any, and goes on when it has the request; `then` answers the next one."""

    def written(frames: Written) -> bytes:
        return b"".join(each if isinstance(each, bytes) else each.serialize() for each in frames)

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at_once = 1 if answer[0] is SETTINGS else len(answer)
        writer.write(written(answer[:at_once]))
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(prefixed(b"?"))
            writer.write(written(answer[at_once:]))
            await reader.readuntil(prefixed(b"?"))
            writer.write(written(then))
            while await reader.read(65_536):
                pass

    return say


async def told(*answer: Frame | bytes, then: Written = ()) -> bytes:
    """What a call makes of these frames, whatever it sends; with `then` the call after that on the connection."""
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unheard.append(context))
    async with listening(talking(answer, then)) as port, Channel(f"127.0.0.1:{port}") as channel:
        try:
            given = await channel.call(PATH, b"?", timeout_s=HANGS_S)
        except grpc.aio.AioRpcError:
            if not then:
                raise
            given = await channel.call(PATH, b"?", timeout_s=HANGS_S)
        finally:
            assert not unheard
    return given


SETTINGS = SettingsFrame(0)
HINTS = HeadersFrame(1, hpack.Encoder().encode([(":status", "103")]), flags=["END_HEADERS"])
LOST, BROKEN = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL


@pytest.mark.parametrize(
    "answer",
    [
        (SETTINGS, FIELDS, ANSWER, END),
        (SETTINGS, DataFrame(9, b"of nobody"), FIELDS, ANSWER, END),
        (SETTINGS, HINTS, FIELDS, ANSWER, END),
        (SETTINGS, FIELDS, *(DataFrame(1, bytes((byte,))) for byte in prefixed(b"!")), END),
        (SETTINGS, FIELDS, DataFrame(1, prefixed(b"!"), pad_length=200, flags=["PADDED"]), END),
        (SETTINGS, FIELDS, ANSWER, HeadersFrame(1, END.data[:2], flags=["END_STREAM"]),
         ContinuationFrame(1, END.data[2:5]), ContinuationFrame(1, END.data[5:], flags=["END_HEADERS"])),
        (SETTINGS, HeadersFrame(1, FIELDS.data + b"\x00\x06server\x04caf\xe9", flags=["END_HEADERS"]), ANSWER, END),
        (SETTINGS, b"\x00\x00\x03\x77\x00\x00\x00\x00\x01abc", FIELDS, ANSWER, END),
    ],
    ids=["plain", "of nobody", "early hints", "bytes", "padded", "continued", "no text", "unknown kind"],
)  # fmt: skip
def test_every_way_to_write_an_answer_is_that_answer(answer: tuple[Frame | bytes, ...]) -> None:
    assert asyncio.run(told(*answer)) == b"!"


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), LOST, "is no Triton: a frame of 4,740,180 bytes"),
        ((FIELDS, ANSWER, END), LOST, "does not begin with settings"),
        ((SETTINGS, FIELDS, ContinuationFrame(1, b"")), LOST, "never began"),
        ((SETTINGS, HeadersFrame(1, b"\x88"), ANSWER), LOST, "do not go on"),
        ((SETTINGS, HeadersFrame(1, HALVES), *[ContinuationFrame(1, HALVES)] * 160), LOST, "without end"),
        ((SETTINGS, FIELDS, FIELDS), grpc.StatusCode.UNKNOWN, "without a gRPC status"),
        ((SETTINGS, HeadersFrame(1, b"\xff" * 9, flags=["END_HEADERS"])), LOST, "cannot be read"),
        ((SETTINGS, PushPromiseFrame(1, 2, b"\x88", flags=["END_HEADERS"])), LOST, "promises"),
        ((SETTINGS, b"\x00\x00\x02\x08\x00\x00\x00\x00\x00ab"), LOST, "too short"),
        ((SETTINGS, RstStreamFrame(1, error_code=2)), BROKEN, "error 2"),
        ((SETTINGS, FIELDS, DataFrame(1, prefixed(b"!"), flags=["END_STREAM"])), BROKEN, "without a status"),
        ((SETTINGS, FIELDS, DataFrame(1, b"\x01" + prefixed(b"!")[1:])), BROKEN, "compressed"),
        ((SETTINGS, FIELDS, DataFrame(1, b"\x00" + b"\xff" * 4)), grpc.StatusCode.RESOURCE_EXHAUSTED, "4,294,967,295"),
        ((SETTINGS, HeadersFrame(1, hpack.Encoder().encode([(":status", "503")]), flags=["END_HEADERS"])),
         LOST, "HTTP 503"),
        ((SETTINGS, FIELDS, HeadersFrame(1, HALVES[:20_000], flags=["END_STREAM"]),
          ContinuationFrame(1, HALVES[20_000:], flags=["END_HEADERS"])), BROKEN, "x" * 40_000),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_an_error_in_words(
    answer: tuple[Frame | bytes, ...], code: grpc.StatusCode, says: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        asyncio.run(told(*answer))
    assert caught.value.code() is code
    assert says in (caught.value.details() or "")


@pytest.mark.parametrize("block", [HALVES * 10, b"\x88" * 8_000], ids=["long", "many"])
def test_an_error_without_end_is_that_calls_alone(block: bytes) -> None:
    pieces = [block[at : at + 100_000] for at in range(0, len(block), 100_000)]
    rest = [ContinuationFrame(1, piece) for piece in pieces[1:]]
    frames = (HeadersFrame(1, pieces[0], flags=["END_STREAM"]), *rest, ContinuationFrame(1, b"", flags=["END_HEADERS"]))
    next_answer = [HeadersFrame(3, each.data, flags=["END_HEADERS"]) for each in (FIELDS, END)]
    next_answer[1].flags.add("END_STREAM")
    after = (next_answer[0], DataFrame(3, prefixed(b"next")), next_answer[1])
    assert asyncio.run(told(SETTINGS, *frames, then=after)) == b"next"


@pytest.mark.parametrize("says_something", [True, False])
def test_a_server_that_hangs_up_at_once_costs_no_time(monkeypatch: pytest.MonkeyPatch, *, says_something: bool) -> None:
    """A sidecar without what is behind it, say."""
    monkeypatch.setattr(silence, "SILENCE_S", 10 * HANGS_S)
    taken = 0

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        taken += 1
        if says_something:
            writer.write(SETTINGS.serialize() + GoAwayFrame(0, last_stream_id=0, error_code=0).serialize())

    async def main() -> list[grpc.StatusCode]:
        async with listening(hang_up) as port, Channel(f"127.0.0.1:{port}") as channel:
            calls = (channel.call(PATH, b"?", timeout_s=None) for _ in range(20))
            errors = await asyncio.gather(*calls, return_exceptions=True)
        return [error.code() for error in errors if isinstance(error, grpc.aio.AioRpcError)]

    assert asyncio.run(asyncio.wait_for(main(), HANGS_S)) == [grpc.StatusCode.UNAVAILABLE] * 20
    assert taken <= 3, "attempts of all calls"


def test_a_server_that_ends_its_half_gets_no_more_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may never read what is still to be sent."""
    monkeypatch.setattr(silence, "SILENCE_S", 10 * HANGS_S)

    over = asyncio.Event()

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        room = SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: (1 << 31) - 1})
        writer.write(room.serialize() + WindowUpdateFrame(0, window_increment=1 << 30).serialize())
        await reader.readexactly(1_000)
        writer.write_eof()
        await over.wait()

    async def main() -> grpc.aio.AioRpcError:
        async with listening(half) as port, Channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.call(PATH, bytes(50_000_000), timeout_s=None)
            over.set()
        return caught.value

    assert "broke" in (asyncio.run(asyncio.wait_for(main(), HANGS_S)).details() or "")
