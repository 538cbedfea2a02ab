"""What SmolVLA computes in LeRobot's own process for the calls that `run.py --calls` wrote down.

`again.py CHECKPOINT CALLS NOISE OUT`: it continues the same left-over under the same delay, with real-time chunking and
processors of LeRobot. A left-over is in robot units, the checkpoint's in its normalised ones: between them stand the
statistics of the checkpoint. Beside it stands the chunk that continues nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.rtc.configuration_rtc import RTCConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from safetensors.numpy import load_file

TASK = "pick up the cube"
STATISTICS = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"


def main(checkpoint: Path, calls: Path, noise: Path, out: Path) -> None:
    torch.set_num_threads(1)
    policy = SmolVLAPolicy.from_pretrained(checkpoint)
    policy.config.rtc_config = RTCConfig(execution_horizon=policy.config.chunk_size)
    policy.init_rtc_processor()
    before, after = make_pre_post_processors(policy.config, pretrained_path=str(checkpoint))
    statistics = load_file(checkpoint / STATISTICS)
    with np.load(calls, allow_pickle=False) as recorded, np.load(noise, allow_pickle=False) as drawn:
        chunks = {}
        for number in range(sum(key.endswith(".chunk") for key in recorded)):
            call = {key.partition(".")[2]: recorded[key] for key in recorded if key.startswith(f"{number}.")}
            noise_drawn = torch.from_numpy(drawn["noise"][number])[None]
            for kind, left_over in (("continued", left_over_of(call, statistics)), ("free", None)):
                with torch.no_grad():
                    chunk = policy.predict_action_chunk(
                        before(observation_of(call)),
                        noise=noise_drawn,
                        inference_delay=int(call["delay"]),
                        prev_chunk_left_over=left_over,
                    )
                chunks[f"{number}.{kind}"] = after(chunk).numpy()
    np.savez(out, **chunks)


def observation_of(call: Mapping[str, Any]) -> dict[str, Any]:
    arrays = {key: torch.from_numpy(value) for key, value in call.items() if key.startswith("observation.")}
    return arrays | {"task": [TASK]}


def left_over_of(call: Mapping[str, Any], statistics: Mapping[str, Any]) -> torch.Tensor | None:
    """Normalised by mean and deviation; an axis that never moved has none."""
    if "left_over" not in call:
        return None
    mean, deviation = statistics["action.mean"], statistics["action.std"]
    moves = deviation > 0
    normalized = np.where(moves, (call["left_over"] - mean) / np.where(moves, deviation, 1.0), 0.0)
    return torch.from_numpy(normalized.astype(np.float32))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
