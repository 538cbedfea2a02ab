"""What LeRobot says that the frames of datasets mean.

    tasks_of.py ROOT... OUT

OUT: JSON with a list for each dataset, of the tasks of its first frame and of that of its second episode.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lerobot.datasets.lerobot_dataset import LeRobotDataset


def main() -> None:
    *roots, out = map(Path, sys.argv[1:])
    datasets = [LeRobotDataset("local/dataset", root=root) for root in roots]
    seconds = [int(dataset.meta.episodes["dataset_from_index"][1]) for dataset in datasets]
    told = [[dataset[0]["task"], dataset[second]["task"]] for dataset, second in zip(datasets, seconds, strict=True)]
    out.write_text(json.dumps(told))


if __name__ == "__main__":
    main()
