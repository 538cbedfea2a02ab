"""openpi's protocol: metadata first, then a chunk for every observation; or a sentence as text, and the stream goes on.

Its clients take every text message for an error and stay connected; what ends a stream here is that its caller may ask
no longer, or that the server stops.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import numpy as np

from reflex.errors import ServiceError
from reflex.wire import DEADLINE_HEADER, ActResult, raw_name
from reflex.wire.arrays import OPENPI_CLIENT, Dialect, array_map
from reflex.wire.packing import pack
from reflex_frontend.act.act import QUICK_BODY_BYTES, ActService
from reflex_frontend.exchange.exchange import Exchange
from reflex_frontend.observation.packed import unpacked
from reflex_frontend.observation.request import (
    ActRequest,
    deadline_ms_of,
    parse_deadline_ms,
    parse_fields,
    random_uuid,
    refuse,
)
from reflex_frontend.streams.answering import answer_observation
from reflex_frontend.streams.connection import POLICY_VIOLATION, Connection, close_code
from reflex_frontend.streams.metadata import metadata_of
from reflex_frontend.streams.openpi_observation import act_fields, episode_of

__all__ = ["OpenpiStream"]

DEADLINE: Final = raw_name(DEADLINE_HEADER)
ENDS: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@dataclass(frozen=True)
class OpenpiStream:
    """Speaks it on one connection after the other."""

    service: ActService

    async def __call__(self, connection: Connection) -> None:
        await connection.send(pack(metadata_of(self.service.router.first.loaded.policy)))
        try:
            deadline_ms = _deadline_of(connection)
        except ServiceError as exc:
            await connection.close(POLICY_VIOLATION, str(exc))
            return
        reading = _Reading(self.service, f"openpi-{random_uuid()}", deadline_ms)
        while await self._answer_next(connection, reading):
            pass

    async def _answer_next(self, connection: Connection, reading: _Reading) -> bool:
        """One observation and its answer; whether the stream goes on."""
        reading.message = await connection.receive()
        received_at = self.service.now()
        exchange = Exchange.begin(received_at, reading.deadline_ms)
        try:
            result = await answer_observation(self.service, connection.headers, exchange, reading)
        except ServiceError as exc:
            await connection.send(str(exc))
            if exc.status in ENDS or exc.code == "draining":
                await connection.close(close_code(exc), str(exc))
                return False
            return True
        await connection.send(pack(_action(result, reading)))
        reading.previous_ms = (self.service.now() - received_at) * 1000.0
        return True


@dataclass
class _Reading:
    """What is known of a client, and the message that it sent last. Called, it reads that."""

    service: ActService
    episode_id: str
    """One connection's observations belong together, unless the client says what does: one policy answers them."""
    deadline_ms: float
    message: bytes | str = b""
    dialect: Dialect = OPENPI_CLIENT
    previous_ms: float | None = None

    async def __call__(self, exchange: Exchange) -> tuple[ActRequest, bytes]:
        if isinstance(self.message, str):
            raise refuse("wrong_type", "send observations as binary messages of msgpack", field="observation")
        if len(self.message) <= QUICK_BODY_BYTES:
            return self._read(self.message, exchange)
        return await self.service.workers.run(exchange.deadline, self._read, self.message, exchange)

    def _read(self, message: bytes, exchange: Exchange) -> tuple[ActRequest, bytes]:
        observation, dialect = unpacked(message)
        self.dialect = dialect or self.dialect
        exchange.deadline = exchange.received_at + deadline_ms_of(observation, self.deadline_ms) / 1000.0
        episode_id = episode_of(observation) or self.episode_id
        config = self.service.router.route(episode_id).loaded.policy.config
        fields = act_fields(config, observation) | {"episode_id": episode_id}
        return parse_fields(fields), message


def _deadline_of(connection: Connection) -> float:
    given = [value.decode("latin-1") for name, value in connection.headers if name == DEADLINE]
    return parse_deadline_ms(given[-1] if given else None)


def _action(result: ActResult, reading: _Reading) -> dict[str, Any]:
    """As openpi's servers answer, and all else that `/act` says."""
    timing = result.get("timing")
    server = {"infer_ms": result["latency_ms"]}
    if reading.previous_ms is not None:
        server["prev_total_ms"] = reading.previous_ms
    actions = np.asarray(result["actions"], np.float32)
    return {
        **result,
        "actions": array_map(actions, reading.dialect),
        "server_timing": server,
        "policy_timing": {} if timing is None else {"infer_ms": timing["infer_ms"]},
    }
