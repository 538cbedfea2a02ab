from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import grpc
import grpc.aio
import pytest

from reflex_frontend.triton.http2.frames import DATA, END_STREAM, FrameReader
from reflex_frontend.triton.http2.status import call_error
from reflex_frontend.triton.http2.stream import Stream
from support.streams.http2_peer import prefixed

MOST = 256 * 1024 * 1024
OK = {"grpc-status": "0"}


def run(scenario: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(scenario)


def stream_of(message: bytes = b"", window: int = 1 << 20) -> Stream:
    stream = Stream(asyncio.get_running_loop().create_future(), b"", memoryview(message), window=window)
    stream.number = 3
    return stream


@pytest.mark.parametrize("size", [0, 1, 4, 5, 6, 100, 16_379, 16_380, 50_000])
@pytest.mark.parametrize("most", [1, 4, 5, 6, 16_384])
def test_the_frames_of_a_request_are_its_prefix_and_its_message_in_pieces(size: int, most: int) -> None:
    message = bytes(i % 251 for i in range(min(size, 3_000 * most)))

    async def main() -> list[Any]:
        stream = stream_of(message)
        out: list[bytes | memoryview] = []
        assert stream.push(1 << 20, most, out) == 5 + len(message)
        assert stream.is_sent
        return list(FrameReader(most).feed(b"".join(out)))

    sent = run(main())
    assert b"".join(each.payload for each in sent) == prefixed(message)
    assert {(each.kind, each.stream) for each in sent} == {(DATA, 3)}
    assert [each.flags for each in sent] == [0] * (len(sent) - 1) + [END_STREAM]


@pytest.mark.parametrize(("room", "window", "sent"), [(7, 100, 7), (100, 7, 7), (3, 100, 3), (0, 9, 0), (9, -4, 0)])
def test_no_more_is_sent_than_both_windows_allow(room: int, window: int, sent: int) -> None:
    async def main() -> None:
        stream = stream_of(b"twelve bytes", window)
        out: list[bytes | memoryview] = []
        assert stream.push(room, 16_384, out) == stream.sent == sent
        assert stream.window == window - sent
        assert not stream.is_sent
        stream.window = 100
        assert stream.push(100, 16_384, out) == 17 - sent
        payloads = [each.payload for each in FrameReader(16_384).feed(b"".join(out))]
        assert b"".join(payloads) == prefixed(b"twelve bytes")

    run(main())


def test_an_answer_is_whole_when_its_status_says_so_and_its_bytes_do_too() -> None:
    async def main() -> bytes:
        stream = stream_of()
        for byte in prefixed(b"an answer"):
            stream.take(bytes((byte,)))
        assert not stream.answer.done()
        stream.end(OK)
        return await stream.answer

    assert run(main()) == b"an answer"


@pytest.mark.parametrize(
    ("came", "fields", "code"),
    [
        (b"", OK, grpc.StatusCode.INTERNAL),
        (b"\x00\x00", OK, grpc.StatusCode.INTERNAL),
        (prefixed(b"answer")[:-1], OK, grpc.StatusCode.INTERNAL),
        (prefixed(b"answer") + b"!", OK, grpc.StatusCode.INTERNAL),
        (b"\x01" + prefixed(b"answer")[1:], OK, grpc.StatusCode.INTERNAL),
        (b"\x00" + (MOST + 1).to_bytes(4, "big"), OK, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (prefixed(b"answer"), {"grpc-status": "13", "grpc-message": "broken"}, grpc.StatusCode.INTERNAL),
        (prefixed(b"answer"), {}, grpc.StatusCode.UNKNOWN),
    ],
    ids=["nothing", "half a prefix", "cut off", "too long", "compressed", "huge", "an error", "no status"],
)
def test_an_answer_that_is_none_is_an_error(came: bytes, fields: dict[str, str], code: grpc.StatusCode) -> None:
    async def main() -> grpc.aio.AioRpcError:
        stream = stream_of()
        stream.take(came)
        stream.end(fields)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.answer
        return caught.value

    assert run(main()).code() is code


def test_an_answer_may_have_256_mib() -> None:
    async def main() -> bool:
        stream = stream_of()
        stream.take(b"\x00" + MOST.to_bytes(4, "big") + b"begins")
        return stream.answer.done()

    assert not run(main())


@pytest.mark.parametrize("is_untouched", [True, False])
def test_a_call_that_fails_knows_whether_anything_was_done_for_it(*, is_untouched: bool) -> None:
    async def main() -> bool:
        stream = stream_of()
        stream.fail(call_error(grpc.StatusCode.UNAVAILABLE, "gone"), is_untouched=is_untouched)
        with pytest.raises(grpc.aio.AioRpcError):
            await stream.answer
        return stream.is_untouched

    assert run(main()) is is_untouched


def test_what_comes_after_a_call_was_given_up_does_no_harm() -> None:
    async def main() -> None:
        stream = stream_of()
        stream.answer.cancel()
        stream.take(b"\x01 no answer")
        stream.end(OK)
        assert stream.answer.cancelled()

    run(main())
