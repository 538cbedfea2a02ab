"""What every transport is, what each is told, and how an answer becomes a dated chunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from reflex.client.acting import new_id
from reflex.client.http import DEFAULT_URL, ApiKey
from reflex.connector import Observation
from reflex.errors import SetupError, TransportError
from reflex_runner.clock import SYSTEM_CLOCK, Clock
from reflex_runner.config.sections import TargetConfig
from reflex_runner.tick import DatedChunk

__all__ = ["Asking", "Patient", "Transport", "finite_actions"]


class Transport(Protocol):
    """Asks one server, from one thread."""

    @property
    def control_hz(self) -> float:
        """The rate at which the actions of a chunk are executed; known once it is open."""
        ...

    def open(self) -> None:
        """Reach the server, within `connect_timeout_s`."""
        ...

    def ask(self, seq: int, observation: Observation, *, executed_steps: int | None) -> DatedChunk:
        """The chunk for an observation, within `timeout_s`.

        `TransportError` and the `ServiceError`s that another observation may pass by are of this answer alone; a
        `ServiceError` of 401, 403, 404, 409 or 422 is of every answer.
        """
        ...

    def close(self) -> None:
        """Let go of the server; may be called twice, and of one that was never opened."""
        ...


@runtime_checkable
class Patient(Protocol):
    """A transport that sends a request again which the server refuses for now (503, 429), before it raises."""

    patience_s: float
    """So long refusals are waited out within one request; `timeout_s` ends that, too."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What a transport is told of the run."""

    target: TargetConfig
    instruction: str = ""
    """For observations that have no task of their own."""
    api_key: ApiKey | None = field(default=None, repr=False)
    control_hz: float | None = None
    """Where the server does not say it."""
    episode_id: str = field(default_factory=new_id)
    clock: Clock = SYSTEM_CLOCK

    @property
    def url(self) -> str:
        return self.target.url or DEFAULT_URL

    def instruction_of(self, observation: Observation) -> str:
        return self.instruction if observation.task is None else observation.task

    def seeded(self, seq: int) -> dict[str, int]:
        """The field by which the answer to that observation can be repeated; none where the settings give no seed."""
        seed = self.target.seed
        return {} if seed is None else {"seed": seed + seq}

    def rate(self, said: object) -> float:
        """The server's own, else what is known here; `SetupError` when nobody says it."""
        rate = said if isinstance(said, int | float) and not isinstance(said, bool) else self.control_hz
        if rate is None or not 0 < rate < float("inf"):
            raise SetupError(
                f"{self.url} does not say at which rate its actions are executed; set session.control_period_s"
            )
        return float(rate)

    def dated(
        self, seq: int, observation: Observation, actions: object, answer: Mapping[str, Any], control_hz: float
    ) -> DatedChunk:
        """The answer to `observation`, which is of the moment when that was measured."""
        return DatedChunk(
            seq=seq,
            captured_s=observation.captured_s,
            received_s=self.clock.now(),
            actions=finite_actions(actions),
            step_s=1.0 / control_hz,
            answer={name: value for name, value in answer.items() if name != "actions"},
        )


def finite_actions(given: object) -> npt.NDArray[np.float32]:
    """Actions as float32 [horizon, action_dim]; `TransportError` for what is no finite chunk."""
    try:
        found = np.asarray(given)
        with np.errstate(over="ignore"):
            actions = found.astype(np.float32) if found.dtype.kind in "fiu" else np.empty(0, np.float32)
    except (TypeError, ValueError) as exc:
        raise TransportError("the answer's actions are no array of numbers, and were dropped") from exc
    if actions.ndim != 2 or not actions.size or not np.isfinite(actions).all():
        raise TransportError("the answer carries no finite action chunk, and was dropped; is it a server of policies?")
    return actions
