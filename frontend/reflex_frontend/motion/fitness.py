"""Which policies the options for motion work with, and which of them do something there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reflex.errors import SetupError
from reflex_frontend.motion.rtc import is_trained_for_it
from reflex_frontend.policy.policy import ServedPolicy
from reflex_frontend.settings import Settings

__all__ = ["GUIDING_OPTIONS", "MB", "require_continuable", "require_prefix", "require_rtc"]

MB: Final = 1_000_000
GUIDING_OPTIONS: Final = ("rtc_execution_horizon", "rtc_schedule", "rtc_max_guidance")


def require_rtc(settings: Settings, policies: Sequence[ServedPolicy]) -> None:
    """`SetupError` for a policy that cannot continue a chunk, and for options that none of them heeds."""
    for policy in policies:
        require_continuable(policy)
    idle = [name for name in GUIDING_OPTIONS if name in settings.model_fields_set]
    if idle and all(is_trained_for_it(policy.config) for policy in policies):
        raise SetupError(
            f"--{idle[0].replace('_', '-')} does nothing with {policies[0].config.policy_id}, which was trained for "
            "real-time chunking and has a rule of its own; leave the option out"
        )


def require_continuable(policy: ServedPolicy) -> None:
    """`SetupError` says why the policy cannot continue a chunk, and what to do."""
    config = policy.config
    if "prev_chunk" not in {tensor.name for tensor in config.inputs}:
        raise SetupError(
            f"policy {config.policy_id} ({config.family}) cannot continue a chunk: its graph has no input prev_chunk, "
            "as those of SmolVLA, pi0 and pi0.5 have; leave --rtc out, or serve another policy"
        )
    if "actions_normalized" not in {tensor.name for tensor in config.outputs}:
        raise SetupError(
            f"policy {config.policy_id} cannot be used with --rtc: it has no output actions_normalized, which the next "
            "chunk continues; export it again"
        )
    if policy.adds_state and config.action_space is None:
        raise SetupError(
            f"policy {config.policy_id} has actions relative to the state, and was exported before it was recorded "
            "which; export it again for --rtc, or leave --rtc out"
        )


def require_prefix(policy: ServedPolicy, max_mb: float) -> None:
    """`SetupError` for a policy of which nothing can be kept, or not in so many megabytes."""
    policy_id = policy.config.policy_id
    if policy.stages is None:
        raise SetupError(
            f"--prefix-cache-mb does nothing with {policy_id} ({policy.config.family}): its ensemble is not the chain "
            "of models that `reflex export` makes; export it again, or leave the option out"
        )
    wanted_mb = policy.stages.prefix_bytes / MB
    if wanted_mb >= max_mb:
        raise SetupError(
            f"--prefix-cache-mb {max_mb:g} has no room for one observation of {policy_id}, which becomes "
            f"{wanted_mb:.2g} MB; give it several times as much, or leave it out"
        )
