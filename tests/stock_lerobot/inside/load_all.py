"""Have LeRobot load every frame of datasets.

    load_all.py ROOT... OUT

OUT: JSON with a list for each dataset, of the number of its episodes, of its frames, and the tasks that they mean.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lerobot.datasets.lerobot_dataset import LeRobotDataset


def main() -> None:
    *roots, out = map(Path, sys.argv[1:])
    told = []
    for root in roots:
        dataset = LeRobotDataset("local/dataset", root=root)
        tasks = [dataset[number]["task"] for number in range(len(dataset))]
        told.append([dataset.num_episodes, len(tasks), list(dict.fromkeys(tasks))])
    out.write_text(json.dumps(told))


if __name__ == "__main__":
    main()
