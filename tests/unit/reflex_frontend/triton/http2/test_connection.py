"""Calls over one connection, against a strict server of HTTP/2; `test_channel.py` has gRPC's own."""

from __future__ import annotations

import asyncio
from functools import partial

import grpc
import grpc.aio
import h2.settings
import hpack
import pytest
from hyperframe.frame import (
    DataFrame,
    Frame,
    HeadersFrame,
)

from reflex_frontend.triton.channel import Channel
from reflex_frontend.triton.http2 import connection
from reflex_frontend.triton.http2.fields import request_fields
from support.streams.http2_calls import ask, failure, held, with_peer
from support.streams.http2_peer import OK_FIELDS, OK_STATUS, Asked, Http2Peer, http2_peer, prefixed
from support.waiting import eventually

ROOM = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE
PLACES = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS


def test_calls_begin_on_the_connection_itself_and_all_end_with_it() -> None:
    waiting: list[Asked] = []
    peer = Http2Peer(answer=lambda _peer, asked: waiting.append(asked))
    head = request_fields("localhost", "/reflex.Test/Echo", None)

    async def main() -> tuple[bytes, list[grpc.StatusCode], bool]:
        async with http2_peer(peer) as address:
            port = int(address.rpartition(":")[2])
            _, link = await asyncio.get_running_loop().create_connection(
                lambda: connection.Connection(address), "127.0.0.1", port
            )
            await link.greeted
            first, second, given_up = (link.start(head, message) for message in (b"first", b"second", b"given up"))
            await eventually(lambda: len(waiting) == 3, "all three are there")
            link.drop(given_up)
            peer.echo(waiting[0])
            answer = await first.answer
            link.drop(first)
            link.abort(grpc.StatusCode.CANCELLED, "over")
            late = link.start(head, b"late")
            await link.closed
            errors = [each.answer.exception() for each in (second, late)]
            return (
                answer,
                [error.code() for error in errors if isinstance(error, grpc.aio.AioRpcError)],
                late.is_untouched,
            )

    answer, codes, is_untouched = asyncio.run(main())
    assert answer == b"first"
    assert codes == [grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE]
    assert is_untouched
    assert peer.resets == [5]


@pytest.mark.parametrize("room", [1, 4, 5, 1_000, 65_535, 1 << 24])
def test_a_request_of_any_size_goes_through_a_window_of_any_size(room: int) -> None:
    messages = [bytes(size % 256 for size in range(n)) for n in (0, 1, 4, 5, 300, 16_379, 70_000) if n < 2_000 * room]

    async def scenario(channel: Channel) -> list[bytes]:
        return [await ask(channel, message) for message in messages]

    peer = Http2Peer(settings={ROOM: room})
    assert with_peer(peer, scenario) == messages
    assert [asked.message for asked in peer.calls] == messages
    assert peer.connections == 1
    assert not peer.resets


def test_frames_are_as_large_as_the_other_side_takes_them() -> None:
    peer = Http2Peer(settings={h2.settings.SettingCodes.MAX_FRAME_SIZE: 30_000})
    assert len(with_peer(peer, lambda channel: ask(channel, bytes(100_000)))) == 100_000
    assert peer.largest == 30_000


@pytest.mark.parametrize("room", [1_000, 65_534, 65_536, 150_000])
def test_windows_that_change_while_a_request_is_sent_hold_from_then_on(room: int) -> None:
    peer = Http2Peer(gives_room=False)
    message = bytes(250_000)

    async def scenario(channel: Channel) -> bytes:
        call = asyncio.create_task(ask(channel, message))
        await eventually(partial(peer.has_taken, 65_535), "the first window is full")
        peer.h2.update_settings({ROOM: room})
        peer.h2.increment_flow_control_window(1 << 20)
        peer.flush()
        await eventually(partial(peer.has_taken, max(room, 65_535)), "the second one is full")
        peer.h2.increment_flow_control_window(250_000, 1)
        peer.flush()
        return await call

    assert with_peer(peer, scenario) == message


def test_answers_that_come_in_another_order_belong_to_their_calls() -> None:
    peer, waiting = held()

    async def scenario(channel: Channel) -> list[bytes]:
        calls = [asyncio.create_task(ask(channel, bytes([i]) * (i * 3_000))) for i in range(20)]
        await eventually(lambda: len(waiting) == len(calls), "all calls are there")
        for asked in reversed(waiting):
            peer.echo(asked)
        return await asyncio.gather(*calls)

    assert with_peer(peer, scenario) == [bytes([i]) * (i * 3_000) for i in range(20)]


@pytest.mark.parametrize("places", [1, 3, 50])
def test_no_more_calls_are_begun_than_the_other_side_takes_at_once(places: int) -> None:
    peer = Http2Peer(settings={PLACES: places})

    async def scenario(channel: Channel) -> list[bytes]:
        return await asyncio.gather(*(ask(channel, b"%d" % i) for i in range(60)))

    assert with_peer(peer, scenario) == [b"%d" % i for i in range(60)]
    assert peer.most_at_once <= places


def test_a_call_that_is_given_up_is_reset_and_its_place_goes_to_the_next() -> None:
    peer, waiting = held()
    peer.settings = {PLACES: 1}

    async def scenario(channel: Channel) -> bytes:
        first = asyncio.create_task(ask(channel, b"first"))
        await eventually(lambda: waiting, "the first call is there")
        never, second = (asyncio.create_task(ask(channel, name)) for name in (b"never", b"second"))
        await asyncio.sleep(0)
        for call in (never, first):
            call.cancel()
        await eventually(lambda: len(waiting) == 2, "the second call is there")
        peer.echo(waiting[1])
        peer.answer = Http2Peer.echo
        assert await ask(channel, b"third") == b"third"
        return await second

    assert with_peer(peer, scenario) == b"second"
    assert [asked.message for asked in peer.calls] == [b"first", b"second", b"third"]
    assert peer.resets == [1]


def test_a_call_that_waits_for_its_place_is_given_up_without_harm_to_those_that_have_one() -> None:
    peer, waiting = held()
    peer.settings = {PLACES: 1}

    async def scenario(channel: Channel) -> bytes:
        first = asyncio.create_task(ask(channel, b"first"))
        await eventually(lambda: waiting, "the first call is there")
        never = asyncio.create_task(ask(channel, b"never"))
        await asyncio.sleep(0)
        never.cancel()
        await asyncio.wait((never,))
        peer.echo(waiting[0])
        return await first

    assert with_peer(peer, scenario) == b"first"
    assert not peer.resets


def test_a_call_whose_deadline_passes_ends_alone_and_is_reset() -> None:
    peer, waiting = held()

    async def scenario(channel: Channel) -> tuple[grpc.aio.AioRpcError, bytes]:
        other = asyncio.create_task(ask(channel, b"other"))
        await eventually(lambda: waiting, "the other is there")
        error = await failure(channel, b"late", 0.05)
        await eventually(lambda: peer.resets, "it is reset")
        peer.echo(next(asked for asked in waiting if asked.message == b"other"))
        return error, await other

    error, other = with_peer(peer, scenario)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert error.details() == "no answer in time"
    assert other == b"other"


@pytest.mark.parametrize("places", [2, 100])
def test_a_server_that_says_good_bye_ends_what_it_began_and_the_others_are_begun_anew(places: int) -> None:
    peer, waiting = held()
    peer.settings = {PLACES: places}

    async def scenario(channel: Channel) -> tuple[bytes, list[bytes]]:
        first = asyncio.create_task(ask(channel, b"first"))
        await eventually(lambda: len(waiting) == 1, "the first call is there")
        others = [asyncio.create_task(ask(channel, b"%d" % i)) for i in range(5)]
        await eventually(lambda: len(waiting) == min(places, 6), "as many as may be are there")
        leaving, writer = peer.h2, peer.writer
        peer.answer = Http2Peer.echo
        leaving.close_connection(last_stream_id=1)
        peer.flush()
        given = await asyncio.gather(*others)
        frames: list[Frame] = [
            HeadersFrame(1, hpack.Encoder().encode(OK_FIELDS), flags=["END_HEADERS"]),
            DataFrame(1, prefixed(b"answered")),
            HeadersFrame(1, hpack.Encoder().encode(OK_STATUS), flags=["END_HEADERS", "END_STREAM"]),
        ]
        writer.write(b"".join(frame.serialize() for frame in frames))
        return await first, given

    assert with_peer(peer, scenario) == (b"answered", [b"0", b"1", b"2", b"3", b"4"])
    assert peer.connections == 2


@pytest.mark.parametrize(("times", "is_answered"), [(1, True), (2, True), (3, False)])
def test_a_call_that_is_refused_is_begun_anew_but_not_for_ever(times: int, *, is_answered: bool) -> None:
    peer = Http2Peer(answer=lambda peer, asked: (peer.refuse if len(peer.calls) <= times else peer.echo_as)(asked, 7))

    async def scenario(channel: Channel) -> bytes | grpc.StatusCode:
        return await ask(channel) if is_answered else (await failure(channel)).code()

    assert with_peer(peer, scenario) == (b"?" if is_answered else grpc.StatusCode.UNAVAILABLE)
    assert len(peer.calls) == min(times + 1, 3)


@pytest.mark.parametrize("end", ["close", "break"])
def test_calls_that_wait_for_a_place_end_with_the_connection(end: str) -> None:
    peer, waiting = held()
    peer.settings = {PLACES: 1}

    async def scenario(channel: Channel) -> list[grpc.StatusCode]:
        calls = [asyncio.create_task(failure(channel, b"%d" % i)) for i in range(4)]
        await eventually(lambda: waiting, "one is there")
        if end == "close":
            await channel.close()
        else:
            peer.answer = lambda peer, _asked: peer.writer.transport.abort()
            peer.writer.transport.abort()
        return [error.code() for error in await asyncio.gather(*calls)]

    code = grpc.StatusCode.CANCELLED if end == "close" else grpc.StatusCode.UNAVAILABLE
    assert with_peer(peer, scenario) == [code] * 4


def test_a_connection_of_which_all_numbers_are_used_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LAST_NUMBER", 7)
    peer = Http2Peer()

    async def scenario(channel: Channel) -> list[bytes]:
        return [await ask(channel, b"%d" % i) for i in range(10)]

    assert with_peer(peer, scenario) == [b"%d" % i for i in range(10)]
    assert peer.connections == 3


def test_a_request_that_is_answered_before_its_end_is_not_sent_to_the_end() -> None:
    peer = Http2Peer(settings={ROOM: 1_000}, gives_room=False)

    async def scenario(channel: Channel) -> grpc.aio.AioRpcError:
        call = asyncio.create_task(failure(channel, bytes(100_000)))
        await eventually(lambda: peer._open, "the call has begun")
        peer.h2.send_headers(1, [*OK_FIELDS, ("grpc-status", "8"), ("grpc-message", "too%20large")], end_stream=True)
        peer.flush()
        error = await call
        await eventually(lambda: peer.resets == [1], "the rest is not sent")
        return error

    error = with_peer(peer, scenario)
    assert (error.code(), error.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "too large")


def test_the_other_side_gets_back_the_room_that_16_mib_of_answers_took() -> None:
    peer = Http2Peer(answer=lambda peer, asked: peer.send(asked.stream, prefixed(bytes(int(asked.message)))))

    async def scenario(channel: Channel) -> None:
        await ask(channel, b"0")
        before = peer.h2.outbound_flow_control_window
        await ask(channel, b"%d" % ((1 << 24) - 10))
        await eventually(lambda: peer.h2.outbound_flow_control_window > before, "its room is given back")
        assert peer.h2.outbound_flow_control_window == (1 << 31) - 1

    with_peer(peer, scenario)


def test_a_connection_that_is_just_dying_is_none_for_the_calls_of_that_instant() -> None:
    peer = Http2Peer()

    async def scenario(channel: Channel) -> list[bytes]:
        await ask(channel)
        dying = channel._connections[-1]
        assert dying._transport is not None
        dying._transport.abort()
        assert dying.takes_calls, "it does not know yet"
        return await asyncio.gather(*(ask(channel, b"%d" % i) for i in range(4)))

    assert with_peer(peer, scenario) == [b"0", b"1", b"2", b"3"]
    assert peer.connections == 2


def test_a_server_whose_table_has_no_room_either_is_told_that_it_is_not_used() -> None:
    peer = Http2Peer(settings={h2.settings.SettingCodes.HEADER_TABLE_SIZE: 0})

    async def scenario(channel: Channel) -> list[bytes]:
        return [await ask(channel, b"%d" % i) for i in range(5)]

    assert with_peer(peer, scenario) == [b"0", b"1", b"2", b"3", b"4"]
    assert peer.connections == 1
