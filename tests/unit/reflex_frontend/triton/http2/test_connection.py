"""Calls over one connection, against a strict server of HTTP/2."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio

from reflex_frontend.triton.http2 import connection
from reflex_frontend.triton.http2.fields import request_fields
from support.streams.http2_peer import Asked, Http2Peer, http2_peer
from support.waiting import eventually


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
