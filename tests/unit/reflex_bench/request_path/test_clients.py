from __future__ import annotations

import asyncio
from hashlib import sha256

import pytest

from reflex_bench.request_path.clients import HyperClient
from support.streams.http2_peer import Asked, Http2Peer, http2_peer, prefixed


@pytest.mark.parametrize("size", [0, 1, 16_384, 500_000])
def test_the_client_that_ours_is_compared_with_does_the_same(size: int) -> None:
    message = bytes(i % 256 for i in range(size))

    def digest(peer: Http2Peer, asked: Asked) -> None:
        peer.send(asked.stream, prefixed(sha256(asked.message).digest()))

    async def main() -> list[bytes]:
        async with http2_peer(Http2Peer(digest)) as address:
            port = int(address.rpartition(":")[2])
            _, client = await asyncio.get_running_loop().create_connection(HyperClient, "127.0.0.1", port)
            answers = await asyncio.gather(*(client.ask(message) for _ in range(5)))
            client.close()
        return answers

    assert asyncio.run(main()) == [sha256(message).digest()] * 5
