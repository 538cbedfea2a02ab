"""What an adapter that LeRobot's trainer saved computes in LeRobot, unmerged: `record_adapter.py CHECKPOINT OUT`.

Writes the cases that `reflex verify --cases` reads: random observations, and the chunks of PEFT over the base model.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from peft import PeftConfig, PeftModel

CASES = 3
TASK = "pick up the red cube"


def main(checkpoint: Path, out: Path) -> None:
    torch.set_num_threads(1)
    config = PreTrainedConfig.from_pretrained(checkpoint)
    adapter = PeftConfig.from_pretrained(checkpoint)
    base = get_policy_class(config.type).from_pretrained(adapter.base_model_name_or_path, config=config)
    policy = PeftModel.from_pretrained(base, checkpoint, config=adapter).eval()
    learnt = {name: float(value.abs().max()) for name, value in policy.named_parameters() if "lora_B" in name}
    assert learnt, "no layer has an adapter"
    assert all(learnt.values()), learnt
    before, after = make_pre_post_processors(config, pretrained_path=str(checkpoint))
    out.mkdir()
    for number in range(CASES):
        chance = np.random.default_rng(number)
        case = observed(config, chance)
        noise = chance.standard_normal((1, config.chunk_size, config.max_action_dim)).astype(np.float32)
        batch = before(batch_of(case))
        with torch.no_grad():
            chunk = policy.predict_action_chunk(batch, noise=torch.from_numpy(noise))
        np.savez(
            out / f"case_{number}.npz",
            **case,
            noise=noise,
            tokens=batch["observation.language.tokens"].numpy(),
            token_mask=batch["observation.language.attention_mask"].numpy().astype(bool),
            actions_norm=chunk.numpy(),
            actions=after(chunk).numpy(),
        )


def observed(config: Any, chance: np.random.Generator) -> dict[str, Any]:
    """Random pictures and a random state."""
    shapes = {key: feature.shape for key, feature in config.image_features.items()}
    pictures = {f"image.{key}": chance.integers(0, 256, (*shape[1:], 3), np.uint8) for key, shape in shapes.items()}
    state = chance.standard_normal(config.input_features["observation.state"].shape).astype(np.float32)
    return {**pictures, "state_raw": state, "task": np.array(TASK)}


def batch_of(case: dict[str, Any]) -> dict[str, Any]:
    """As LeRobot hands a frame of a dataset to a policy."""
    pictures = {key.removeprefix("image."): value for key, value in case.items() if key.startswith("image.")}
    frames = {key: torch.from_numpy(value).permute(2, 0, 1).float() / 255 for key, value in pictures.items()}
    return {**frames, "observation.state": torch.from_numpy(case["state_raw"]), "task": str(case["task"])}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
