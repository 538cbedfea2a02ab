"""The policies that are measured: of full size with random weights, made on the spot; in small, the recorded ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reflex.export_options import ExportOptions
from reflex.model_repository import cuda_model_file, model_file
from reflex.policy_config import PolicyConfig, read_policy_config
from reflex_bench.exporting.cameras import with_cameras
from reflex_bench.exporting.synthesis import synthesise
from reflex_bench.gpu_check.plan import Plan
from reflex_bench.gpu_check.ways import Way
from reflex_export.exporting.pipeline import export_checkpoint
from reflex_export.reading import read_checkpoint

__all__ = ["MadePolicy", "drop_checkpoint", "drop_policy", "drop_unfinished", "made_policy", "make_policy"]

NAME: Final = "checked"


@dataclass(frozen=True, slots=True)
class MadePolicy:
    """A policy in a model repository of its own; beside it the same with one denoising step."""

    repository: Path
    family: str
    cameras: int

    @property
    def config(self) -> PolicyConfig:
        return read_policy_config(self.repository / NAME)

    @property
    def encoder(self) -> Path:
        return model_file(self.repository, self.config.component("encoder"))

    def denoise(self, *, one_step: bool = False) -> Path:
        name = f"{NAME}-1steps" if one_step else NAME
        return model_file(self.repository, read_policy_config(self.repository / name).component("denoise"))

    def denoise_on(self, way: Way) -> Path:
        """The form that a server opens on this way."""
        own = cuda_model_file(self.repository, self.config.component("denoise")) if way == "cuda" else None
        return own or self.denoise()


def made_policy(scratch: Path, family: str, cameras: int) -> MadePolicy | None:
    """What an earlier stage made and left."""
    made = MadePolicy(scratch / f"{family}-{cameras}", family, cameras)
    return made if (made.repository / NAME).is_dir() else None


def make_policy(plan: Plan, golden: Path, scratch: Path, family: str, cameras: int) -> MadePolicy:
    """Exported as `reflex export --precision fp16` does (FP32 in small: the processor computes in nothing else)."""
    whole = plan.checkpoint(golden, scratch, family)
    if not whole.exists():
        synthesise(_halved(json.loads((golden / "keys" / f"{family}_full.json").read_text())), golden / family, whole)
    lean = with_cameras(whole, scratch / f"{family}-{cameras}-checkpoint", cameras)
    repository = scratch / f"{family}-{cameras}"
    options = ExportOptions(
        repository,
        NAME,
        embodiment="so101",
        precision="fp32" if plan.is_small else "fp16",
        steps=(plan.steps, 1),
        untrained=True,
        check=False,
    )
    export_checkpoint(read_checkpoint(lean), options)
    shutil.rmtree(lean)
    return MadePolicy(repository, family, cameras)


def drop_policy(made: MadePolicy) -> None:
    """Gigabytes that nobody will read again."""
    shutil.rmtree(made.repository)


def drop_checkpoint(scratch: Path, family: str) -> None:
    """What the policies of a family were made from; there is none of a small run."""
    shutil.rmtree(scratch / f"{family}-checkpoint", ignore_errors=True)


def drop_unfinished(scratch: Path, family: str, cameras: int) -> None:
    """What is left of one that could not be made; what it was made from may be half written too."""
    for name in (f"{family}-{cameras}", f"{family}-{cameras}-checkpoint", f"{family}-checkpoint"):
        shutil.rmtree(scratch / name, ignore_errors=True)


def _halved(listed: Mapping[str, Any]) -> dict[str, Any]:
    """Stored in two bytes a weight: half as much to write, and to read."""
    tensors = {name: {**tensor, "dtype": "bfloat16"} for name, tensor in listed["tensors"].items()}
    return {**listed, "tensors": tensors}
