"""Adaptive denoising steps: each episode takes as many as its last answers showed to be enough.

The rule is `reflex.serving.step_rule`; here is what it remembers of each episode, bounded in number and time. An
episode that is not known, or was answered by another policy, begins with all steps.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final

from reflex.policy_config import PolicyConfig
from reflex.serving.step_rule import DEFAULT_TOLERANCE, StepRule, StepState
from reflex_frontend.motion.leftovers import KEPT_S, EpisodeKey
from reflex_frontend.motion.rtc import Asked, policy_key
from reflex_frontend.policy.loaded_policy import LoadedPolicy

__all__ = ["AdaptiveSteps"]

KEPT_EPISODES: Final = 1_024


@dataclass(frozen=True, slots=True)
class _Kept:
    policy: Hashable
    state: StepState
    received_at: float
    """When the request of its answer came in."""


@dataclass
class AdaptiveSteps:
    """The rule for one server. `chosen` before an inference, `note` after it."""

    now: Callable[[], float]
    tolerance: float = DEFAULT_TOLERANCE
    max_episodes: int = KEPT_EPISODES
    _kept: OrderedDict[EpisodeKey, _Kept] = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._kept)

    def chosen(self, asked: Asked, full: LoadedPolicy, variants: Sequence[LoadedPolicy]) -> LoadedPolicy:
        """The variant with the steps to take next, or with more while that is out: in the end the policy itself."""
        kept = self._find(asked, full.policy.config)
        if kept is None:
            return full
        enough = [each for each in variants if _steps(each) >= kept.state.steps and not each.vitals.is_out]
        return min(enough, key=_steps, default=full)

    def note(
        self, asked: Asked, full: LoadedPolicy, variants: Sequence[LoadedPolicy], change: Sequence[float] | None
    ) -> None:
        """An answer that is on its way, and what its model reported. Of two that overlap the later request counts."""
        episode = _episode(asked)
        if episode is None:
            return
        known = self._kept.get(episode)
        if known is not None and known.received_at > asked.received_at:
            return
        rule = StepRule.over(map(_steps, (full, *variants)), self.tolerance)
        kept = self._find(asked, full.policy.config)
        state = rule.after(rule.first if kept is None else kept.state, change)
        self._kept[episode] = _Kept(policy_key(full.policy.config), state, asked.received_at)
        self._kept.move_to_end(episode)
        self._make_room()

    def _find(self, asked: Asked, config: PolicyConfig) -> _Kept | None:
        episode = _episode(asked)
        kept = None if episode is None else self._kept.get(episode)
        if kept is None or kept.policy != policy_key(config) or self._is_expired(kept):
            return None
        return kept

    def _make_room(self) -> None:
        while len(self._kept) > self.max_episodes or self._is_expired(next(iter(self._kept.values()))):
            self._kept.popitem(last=False)

    def _is_expired(self, kept: _Kept) -> bool:
        return self.now() - kept.received_at > KEPT_S


def _episode(asked: Asked) -> EpisodeKey | None:
    episode_id = asked.request.episode_id
    return None if episode_id is None else (episode_id, asked.owner)


def _steps(loaded: LoadedPolicy) -> int:
    return loaded.policy.config.denoising_steps
