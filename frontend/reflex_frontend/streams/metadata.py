"""What a client must know of a policy before its first observation, by the names that openpi's servers use."""

from __future__ import annotations

from typing import Any

from reflex.policy_config import PolicyConfig
from reflex.wire import DEFAULT_DEADLINE_MS
from reflex_frontend.exchange.routing import Router
from reflex_frontend.policy.policy import ServedPolicy

__all__ = ["metadata_of", "metadatas_of"]


def metadatas_of(router: Router) -> dict[str, Any]:
    """The one policy's, or those of both by slot: as `/config` does."""
    both: dict[str, Any] = {str(name): metadata_of(slot.loaded.policy) for name, slot in router.slots.items()}
    return both if router.has_two else both["a"]


def metadata_of(policy: ServedPolicy) -> dict[str, Any]:
    """Plain values only: JSON and msgpack both write them."""
    config = policy.config
    return {
        "server": "reflex",
        "model": config.policy_id,
        "model_version": config.model_version,
        "embodiment": config.embodiment,
        "image_keys": [camera.name for camera in config.cameras],
        "required_image_keys": [camera.name for camera in config.cameras if camera.required],
        "image_sizes": {camera.name: _size_of(config, camera.name) for camera in config.cameras},
        "state_dim": config.state_dim,
        "action_dim": config.action_dim,
        "action_horizon": config.horizon,
        "n_action_steps": config.n_action_steps,
        "action_names": list(policy.embodiment.action_names),
        "control_hz": policy.embodiment.control_hz,
        "needs_prompt": config.prompt is not None,
        "defaults": {
            "prompt": None if config.openpi is None else config.openpi.default_prompt,
            "deadline_ms": DEFAULT_DEADLINE_MS,
        },
    }


def _size_of(config: PolicyConfig, camera: str) -> list[int] | None:
    """Height and width, where the policy takes no other."""
    (tensor,) = (tensor for tensor in config.inputs if tensor.name == f"image.{camera}")
    height, width = tensor.shape[-3:-1]
    return None if -1 in (height, width) else [height, width]
