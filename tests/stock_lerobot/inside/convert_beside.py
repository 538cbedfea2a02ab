"""Have LeRobot convert a dataset of version 2.1 in its place, and compare what it loads of it with another conversion.

    convert_beside.py OLD OTHER OUT

OUT: JSON with the number of frames, and the names in which a frame of the two differs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.scripts.convert_dataset_v21_to_v30 import convert_dataset


def main() -> None:
    old, other, out = map(Path, sys.argv[1:])
    convert_dataset("local/old", root=old, push_to_hub=False)
    theirs, ours = LeRobotDataset("local/old", root=old), LeRobotDataset("local/other", root=other)
    different: set[str] = set()
    for number in range(len(theirs)):
        one, two = theirs[number], ours[number]
        different |= one.keys() ^ two.keys()
        for name in one.keys() & two.keys():
            is_same = (
                torch.equal(one[name], two[name]) if isinstance(one[name], torch.Tensor) else one[name] == two[name]
            )
            different |= set() if is_same else {name}
    told = {"frames": [len(theirs), len(ours)], "episodes": [theirs.num_episodes, ours.num_episodes]}
    out.write_text(json.dumps(told | {"different": sorted(different)}))


if __name__ == "__main__":
    main()
