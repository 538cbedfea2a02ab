"""Starts a stock program of LeRobot: `run.py rollout|eval [--noise FILE] [--calls FILE] -- ARGUMENTS`.

`--noise` gives SmolVLA, when it runs in this process, the noise of the file instead of fresh one, chunk by chunk.
`--calls` writes down what the program asks a policy of the type reflex for, and what it answers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("program", choices=["rollout", "eval"])
    parser.add_argument("--noise", type=Path)
    parser.add_argument("--calls", type=Path)
    split = sys.argv.index("--")
    given = parser.parse_args(sys.argv[1:split])
    sys.argv = [f"lerobot-{given.program}", *sys.argv[split + 1 :]]
    torch.set_num_threads(1)
    if given.noise is not None:
        draw_from(given.noise)
    if given.calls is not None:
        write_down(given.calls)
    if given.program == "rollout":
        from lerobot.scripts.lerobot_rollout import main as program
    else:
        from lerobot.scripts.lerobot_eval import main as program
    program()


def draw_from(file: Path) -> None:
    """The noises lie in `noise`, [draws, horizon, width]; a batch takes as many as it has rows."""
    from lerobot.policies.smolvla.modeling_smolvla import VLAFlowMatching

    with np.load(file, allow_pickle=False) as recorded:
        left: Iterator[Any] = iter(torch.from_numpy(recorded["noise"]))

    def sample_noise(_model: Any, shape: tuple[int, ...], _device: Any) -> torch.Tensor:
        return torch.stack([next(left) for _ in range(shape[0])])

    VLAFlowMatching.sample_noise = sample_noise


def write_down(file: Path) -> None:
    """Of each call the observation, the left-over, the delay and the chunk; the file is written anew after each."""
    from lerobot_policy_reflex.modeling_reflex import ReflexPolicy

    ask = ReflexPolicy.predict_action_chunk
    written: dict[str, Any] = {}

    def predict_action_chunk(policy: Any, batch: Any, *more: Any, **how: Any) -> torch.Tensor:
        chunk: torch.Tensor = ask(policy, batch, *more, **how)
        number = sum(key.endswith(".chunk") for key in written)
        arrays = {key: value for key, value in batch.items() if isinstance(value, torch.Tensor)}
        arrays["chunk"] = chunk
        if how.get("prev_chunk_left_over") is not None:
            arrays["left_over"] = how["prev_chunk_left_over"]
        written.update({f"{number}.{key}": value.cpu().numpy() for key, value in arrays.items()})
        written[f"{number}.delay"] = np.int64(how.get("inference_delay") or 0)
        np.savez(file, **written)
        return chunk

    ReflexPolicy.predict_action_chunk = predict_action_chunk  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    main()
