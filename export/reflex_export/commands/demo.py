"""Makes the demo policies: a checkpoint from a seed, and from that the policy, as `reflex export` makes any other.

python -m reflex_export.commands.demo export/demo_checkpoint --repository model_repository

The checkpoint that stays is that of `demo`; the one of `sim_demo`, for the simulated arm, is made for the moment.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Final

from reflex.export_options import ExportOptions
from reflex.policy_config import PolicyConfig
from reflex_export.demo_data.demo_checkpoint import write_demo_checkpoint
from reflex_export.demo_data.demo_robots import FRANKA, SIMULATED_ARM, DemoRobot
from reflex_export.exporting.pipeline import export_checkpoint
from reflex_export.reading import read_checkpoint

__all__ = ["export_demo", "export_sim_demo", "main"]

_DESCRIPTION: Final = (
    "UNTRAINED demonstration policy: seeded random weights of SmolVLA's architecture, with tiny widths. It only shows "
    "the request path; its actions mean nothing, so never run it on a real arm."
)


def export_demo(checkpoint: Path, repository: Path, robot: DemoRobot = FRANKA) -> PolicyConfig:
    """Publish the checkpoint as that robot's demo; the same checkpoint and package versions give the same bytes."""
    options = ExportOptions(
        repository, robot.policy_id, embodiment=robot.embodiment, untrained=True, description=_DESCRIPTION, replace=True
    )
    return export_checkpoint(read_checkpoint(checkpoint), options).policies[0]


def export_sim_demo(repository: Path, seed: int = 0) -> PolicyConfig:
    """Publish the demo of the simulated arm, made of a checkpoint that nobody keeps."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / f"{SIMULATED_ARM.policy_id}_checkpoint"
        write_demo_checkpoint(checkpoint, seed, SIMULATED_ARM)
        return export_demo(checkpoint, repository, SIMULATED_ARM)


def main() -> None:
    """Write the demo policy's checkpoint, and both demo policies into a model repository."""
    parser = argparse.ArgumentParser(prog="python -m reflex_export.commands.demo", description=main.__doc__)
    parser.add_argument("checkpoint", type=Path, help="the checkpoint's folder, made when absent")
    parser.add_argument("--repository", type=Path, help="the model repository; left out, only the checkpoint is made")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default 0, the one that ships)")
    arguments = parser.parse_args()
    write_demo_checkpoint(arguments.checkpoint, arguments.seed)
    if arguments.repository is not None:
        export_demo(arguments.checkpoint, arguments.repository)
        export_sim_demo(arguments.repository, arguments.seed)


if __name__ == "__main__":
    main()
