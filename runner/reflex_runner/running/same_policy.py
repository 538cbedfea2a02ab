"""`SamePolicy`: answers only of the policies that were held against the robot before the run."""

from __future__ import annotations

from collections.abc import Iterable

from reflex.connector import Observation
from reflex.errors import SetupError
from reflex_runner.preflight.served import Served
from reflex_runner.tick import DatedChunk
from reflex_runner.transports.transport import Transport

__all__ = ["SamePolicy", "same_policy"]


class SamePolicy:
    """A `Transport`. A server that was started anew with another policy may mean other units by the same numbers."""

    def __init__(self, inner: Transport, names: Iterable[str]) -> None:
        self._inner, self._names = inner, frozenset(names)

    @property
    def control_hz(self) -> float:
        return self._inner.control_hz

    def open(self) -> None:
        self._inner.open()

    def ask(self, seq: int, observation: Observation, *, executed_steps: int | None) -> DatedChunk:
        """`SetupError`, which ends the run, for another policy's. A newer version of the same one is welcome."""
        chunk = self._inner.ask(seq, observation, executed_steps=executed_steps)
        version = chunk.answer.get("model_version")
        if isinstance(version, str) and version.rpartition("@")[0] not in self._names and version not in self._names:
            raise SetupError(
                f"the server answers with {version} now, and this run was begun with {', '.join(sorted(self._names))}: "
                "begin a new run, which holds the other policy against the robot"
            )
        return chunk

    def close(self) -> None:
        self._inner.close()


def same_policy(transport: Transport, served: Served | None) -> Transport:
    """As it is where nobody knows what is served."""
    names = () if served is None else tuple(policy.name for policy in served.policies)
    return SamePolicy(transport, names) if names else transport
