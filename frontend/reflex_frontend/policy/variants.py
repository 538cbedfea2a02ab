"""The same policy with other numbers of denoising steps: which of them a server needs beside the one that it serves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reflex.errors import SetupError
from reflex.policy_config import PolicyConfig, with_fewer_steps
from reflex.serving.step_rule import LEAST_STEPS
from reflex_frontend.settings import Settings

__all__ = ["needed_variants", "require_velocity_change"]


def needed_variants(settings: Settings, repository: Path, config: PolicyConfig) -> Sequence[str]:
    """Their names, those with more steps first; `SetupError` when the repository has none that will do."""
    if settings.adaptive_steps:
        return _all_with_fewer_steps(repository, config)
    if settings.slo_mode == "degrade":
        return [_reduced(repository, config)]
    return []


def require_velocity_change(config: PolicyConfig, option: str) -> None:
    """`SetupError` for a policy whose graphs do not say how much the velocity changed."""
    if not _reports(config):
        raise SetupError(
            f"{option} needs to know how much the velocity of {config.policy_id} ({config.family}) changes, and it has "
            "no output velocity_change: SmolVLA, pi0 and pi0.5 have it when they are exported with this version"
        )


def _all_with_fewer_steps(repository: Path, config: PolicyConfig) -> list[str]:
    require_velocity_change(config, "--adaptive-steps")
    fewer = with_fewer_steps(repository, config)
    found = [other.policy_id for other in fewer if other.denoising_steps >= LEAST_STEPS and _reports(other)]
    if not found:
        raise SetupError(_nothing_to_choose(config))
    return found


def _nothing_to_choose(config: PolicyConfig) -> str:
    steps, half = config.denoising_steps, config.denoising_steps // 2
    if half < LEAST_STEPS:
        return (
            f"--adaptive-steps has nothing to choose from: {config.policy_id} takes {steps} denoising steps, and fewer "
            f"than {LEAST_STEPS} tell nothing; leave it out"
        )
    return (
        f"--adaptive-steps has nothing to choose from: it needs {config.policy_id} with fewer than its {steps} "
        f"denoising steps too, at least {LEAST_STEPS}; export it again with --steps {steps} --steps {half}"
    )


def _reduced(repository: Path, config: PolicyConfig) -> str:
    """The variant with the next lower number of denoising steps."""
    fewer = with_fewer_steps(repository, config)
    if not fewer:
        raise SetupError(
            f"--slo-mode degrade needs {config.policy_id} with fewer than its {config.denoising_steps} denoising steps "
            f"too; export it again with --steps {config.denoising_steps} --steps {max(1, config.denoising_steps // 2)}"
        )
    return fewer[0].policy_id


def _reports(config: PolicyConfig) -> bool:
    return "velocity_change" in {tensor.name for tensor in config.outputs}
