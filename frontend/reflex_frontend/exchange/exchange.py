"""One request of /act and what has become of it so far: what the answer's headers and a recording are made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from reflex.signed.session_credential import Claims
from reflex_frontend.exchange.routing import Routing
from reflex_frontend.motion.correction import Correction
from reflex_frontend.motion.rtc import Continuation
from reflex_frontend.observation.request import ActRequest
from reflex_frontend.policy.loaded_policy import Outcome
from reflex_frontend.policy.stage_times import StageTimes

__all__ = ["Exchange"]


@dataclass(slots=True)
class Exchange:
    """Filled in as the request goes on; what is None was not reached. Times are monotonic seconds."""

    received_at: float
    deadline: float
    stage_times: StageTimes = field(default_factory=StageTimes)
    request: ActRequest | None = None
    routing: Routing | None = None
    outcome: Outcome | None = None
    seed_is_drawn: bool = False
    """The request came without a seed, and was given one so that it can be repeated."""
    continuation: Continuation | None = None
    """What the chunk continues, or why it does not; None without real-time chunking."""
    correction: Correction | None = None
    """What was corrected, or why nothing was; None without a correction head."""
    cache_hit: bool | None = None
    """Whether the model began with a prefix that was kept; None where none is kept."""
    record_seq: int | None = None
    held_back_s: float = 0.0
    """How long the answer was held back for a trial, after the policy had given it: no objective is missed by that."""
    session: Claims | None = None
    """Of whoever asks; None where nobody needs one."""
    key_name: str | None = None
    """Of the key that whoever asks has; None where a session, or nothing, is needed."""

    @property
    def owner(self) -> str | None:
        """Whose episode it is; None where everybody may ask."""
        return self.key_name if self.session is None else self.session.session_id

    @property
    def session_mark(self) -> bytes:
        """What must be the same for two requests to get one answer, besides what they ask."""
        return b"" if self.session is None else f"{self.session.mode} {self.session.session_id}".encode()

    @classmethod
    def begin(cls, received_at: float, deadline_ms: float) -> Exchange:
        """A request whose first byte came at `received_at`."""
        return cls(received_at, received_at + deadline_ms / 1000.0)
