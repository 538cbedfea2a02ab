"""What must hold of a policy in a repository before a robot gets its actions: `serve` and `verify` ask the same."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from reflex.embodiments import Embodiment, load_embodiment
from reflex.errors import RepositoryError
from reflex.model_repository import EMBODIMENT_FILE
from reflex.policy_config import PolicyConfig, TensorConfig

__all__ = [
    "EXPORT_ID_PARAMETER",
    "embodiment_of",
    "require_own_name",
    "require_own_sizes",
    "require_same_export",
    "require_same_inputs",
    "several_observations",
]

EXPORT_ID_PARAMETER: Final = "reflex_export_id"
"""Of every component's config.pbtxt."""


def require_own_name(policy_dir: Path, config: PolicyConfig) -> None:
    """`RepositoryError` for a folder that was renamed or copied."""
    if config.policy_id != policy_dir.name:
        raise RepositoryError(f"{policy_dir} holds policy {config.policy_id!r}: a policy's folder bears its name")


def require_same_export(model: str, found: str, config: PolicyConfig) -> None:
    """`RepositoryError` for a component that another export made; `found` is its export id, empty where it has none."""
    if found != config.export_id:
        raise RepositoryError(
            f"{model} is from export {found or 'unknown'}, {config.policy_id} from {config.export_id}: "
            "parts of different exports must not be mixed; export the policy again"
        )


def require_own_sizes(config: PolicyConfig) -> None:
    """`RepositoryError` for a reflex_config.json whose tensors are of other sizes than its fields say."""
    wanted = _sizes(config)
    for tensor in (*config.inputs, *config.outputs):
        size = wanted.get(tensor.name, tensor.shape)
        if not _fits(tensor.shape, size):
            raise RepositoryError(
                f"the reflex_config.json of policy {config.policy_id} has {tensor.name} as {_told(tensor.shape)}, but "
                f"by its other fields (n_obs_steps {config.n_obs_steps}) it is {_told(size)}; export the policy again"
            )


def require_same_inputs(where: str, found: Iterable[TensorConfig], config: PolicyConfig) -> None:
    """`RepositoryError` when what `where` takes is not what reflex_config.json says."""
    there, said = ({tensor.name: tensor for tensor in tensors} for tensors in (found, config.inputs))
    for name in sorted(there.keys() | said.keys()):
        one, other = there.get(name), said.get(name)
        if one is None or other is None or one.datatype != other.datatype or not _fits(one.shape, other.shape):
            raise RepositoryError(
                f"{where} takes {_described(name, one)}, the reflex_config.json of policy {config.policy_id} says "
                f"{_described(name, other)}: they are of different exports; export the policy again"
            )


def several_observations(config: PolicyConfig) -> str:
    """Why a server refuses a policy that sees more than one observation; empty for any other."""
    if not config.history:
        return ""
    return (
        f"policy {config.policy_id} takes several observations at once (n_obs_steps), which /act does not send; "
        "call its ensemble on Triton directly"
    )


def embodiment_of(policy_dir: Path, config: PolicyConfig) -> Embodiment:
    """The robot that the policy drives, its own file before those of Reflex; `RepositoryError` when it is another."""
    own = policy_dir / EMBODIMENT_FILE
    robot = load_embodiment(str(own) if own.is_file() else config.embodiment)
    if (config.state_dim, config.action_dim) != (robot.state_dim, robot.action_dim):
        raise RepositoryError(
            f"policy {config.policy_id} has {config.state_dim} state and {config.action_dim} action values, embodiment "
            f"{config.embodiment} has {robot.state_dim} and {robot.action_dim}; export it with the --embodiment it was "
            "trained for"
        )
    return robot


def _sizes(config: PolicyConfig) -> dict[str, tuple[int, ...]]:
    """What the fields say of the tensors; -1 is any size."""
    images = {f"image.{camera.name}": (*config.history, -1, -1, 3) for camera in config.cameras}
    prompt = {} if config.prompt is None else dict.fromkeys(("tokens", "token_mask"), (config.prompt.max_tokens,))
    return {
        **images,
        **prompt,
        "camera_mask": (len(config.cameras),),
        "state": (*config.history, config.state_dim),
        "noise": (-1, config.noise_dim),
        "actions": (config.horizon, config.action_dim),
    }


def _fits(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return len(one) == len(other) and all(a == b or -1 in (a, b) for a, b in zip(one, other, strict=True))


def _described(name: str, tensor: TensorConfig | None) -> str:
    return f"no {name}" if tensor is None else f"{name} as {tensor.datatype} {_told(tensor.shape)}"


def _told(shape: tuple[int, ...]) -> str:
    return "x".join("any" if size == -1 else str(size) for size in shape)
