"""Load a dataset with LeRobot, look at every frame, take a batch, and train one step of a small network on it.

    read_dataset.py ROOT OUT

OUT: JSON with what each frame shows and says.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def number_in(picture: Any) -> int:
    """Of a picture of `support.run_recording.runs`, here [3, height, width] in 0..1."""
    means = [float(picture[:, 19:29, bit * 8 + 2 : bit * 8 + 6].mean()) for bit in range(8)]
    return sum(1 << bit for bit, mean in enumerate(means) if mean > 0.5)


def one_step(dataset: Any) -> float:
    """By how much one step of a network from state to action made the loss of a batch smaller."""
    batch = next(iter(torch.utils.data.DataLoader(dataset, batch_size=16, shuffle=True)))
    network = torch.nn.Linear(batch["observation.state"].shape[1], batch["action"].shape[1])
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-6)
    before = torch.nn.functional.mse_loss(network(batch["observation.state"]), batch["action"])
    before.backward()
    optimizer.step()
    after = torch.nn.functional.mse_loss(network(batch["observation.state"]), batch["action"])
    return float(before - after)


def main() -> None:
    root, out = Path(sys.argv[1]), Path(sys.argv[2])
    dataset = LeRobotDataset("local/recording", root=root)
    frames = []
    for index in range(len(dataset)):
        item = dataset[index]
        frames.append(
            {
                "front": number_in(item["observation.images.front"]),
                "action": item["action"].tolist(),
                "episode": int(item["episode_index"]),
                "task": item["task"],
            }
        )
    told = {"episodes": dataset.meta.total_episodes, "fps": dataset.fps, "gain": one_step(dataset), "frames": frames}
    out.write_text(json.dumps(told))


if __name__ == "__main__":
    main()
