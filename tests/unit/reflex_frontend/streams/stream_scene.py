"""A stream on virtual time: a client by hand on one side, a service over a fake Triton on the other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack
import orjson

from reflex_frontend.act.act import ActService
from reflex_frontend.errors import ClientGoneError
from reflex_frontend.streams.act_stream import ActStream
from reflex_frontend.streams.connection import Connection
from support.fakes import FakeTriton, act_service, outputs, policy_config, run_virtual

__all__ = ["Client", "slow", "streamed"]

Clock = Callable[[], float]
OBSERVATION: dict[str, Any] = {"type": "observation", "state": [0.1] * 6, "instruction": "pick"}


@dataclass
class Client:
    """What one client sends, and everything that it was sent: frames, with the time at which each came."""

    service: ActService
    triton: FakeTriton
    now: Clock
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    frames: list[dict[str, Any]] = field(default_factory=list)
    came_at: list[float] = field(default_factory=list)
    closed: tuple[int, str] | None = None
    reads: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is clear, this client reads nothing."""
    _incoming: asyncio.Queue[MutableMapping[str, Any]] = field(default_factory=asyncio.Queue)
    _serving: asyncio.Task[None] | None = None

    def open(self) -> None:
        self.reads.set()
        scope = {"type": "websocket", "headers": self.headers, "path": "/act/stream", "subprotocols": []}
        connection = Connection(scope, self._incoming.get, self._take)
        self._serving = asyncio.create_task(self._serve(connection))

    async def _serve(self, connection: Connection) -> None:
        with contextlib.suppress(ClientGoneError):
            await ActStream(self.service)(connection)

    def send(self, seq: int, **fields: Any) -> None:
        self.send_raw(msgpack.packb({**OBSERVATION, "seq": seq, **fields}))

    def send_raw(self, data: bytes | str) -> None:
        kind = "text" if isinstance(data, str) else "bytes"
        self._incoming.put_nowait({"type": "websocket.receive", kind: data})

    def leave(self) -> None:
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})

    async def ended(self) -> None:
        assert self._serving is not None
        await self._serving

    async def frame(self, number: int) -> dict[str, Any]:
        """The frame of that number, once it has come."""
        while len(self.frames) <= number:  # noqa: ASYNC110 - on virtual time
            await asyncio.sleep(0.001)
        return self.frames[number]

    def answers(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"] == kind]

    async def _take(self, event: MutableMapping[str, Any]) -> None:
        await self.reads.wait()
        if self.closed is not None:
            raise OSError
        if event["type"] == "websocket.close":
            self.closed = (event["code"], event["reason"])
            self.leave()
            return
        data = event.get("bytes")
        self.frames.append(orjson.loads(event["text"]) if data is None else msgpack.unpackb(data))
        self.came_at.append(self.now())


def slow(seconds: float) -> Callable[[], Coroutine[Any, Any, Any]]:
    """A model that takes so long."""

    async def answer() -> Any:
        await asyncio.sleep(seconds)
        return outputs()

    return answer


def streamed(
    scenario: Callable[[Client], Coroutine[Any, Any, None]],
    triton: FakeTriton | None = None,
    change: Callable[[ActService], ActService] = lambda service: service,
    headers: Sequence[tuple[bytes, bytes]] = (),
    **given: Any,
) -> None:
    """Run a scenario with a client that has opened its stream; afterwards no place may be lost."""
    fake = triton or FakeTriton()

    async def main(now: Clock) -> None:
        service = change(act_service(fake, now, config=policy_config(cameras={"base": False}), **given))
        client = Client(service, fake, now, list(headers))
        client.open()
        await scenario(client)
        client.reads.set()
        client.leave()
        await client.ended()
        loaded = service.router.first.loaded
        await loaded.runner.drain()
        assert (loaded.admission.in_flight, loaded.admission.waiting, service.instance.answering) == (0, 0, 0)
        assert "reflex_streams_open 0.0" in service.metrics.exposition().decode()

    run_virtual(main)
