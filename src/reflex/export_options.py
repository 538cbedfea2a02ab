"""What `reflex export` is told: one object, from the command line to the export, in which each option stands once.

It stands here and not with the export, for `reflex export --help` works without the export's packages.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypedDict, cast

__all__ = ["AdapterUse", "EngineKind", "ExportOption", "ExportOptions", "Precision", "ReadingOptions"]

Precision = Literal["fp32", "fp16"]
EngineKind = Literal["onnx", "tensorrt", "tensorrt-rtx"]
AdapterUse = Literal["merge", "ignore"]


@dataclass(frozen=True)
class ExportOption:
    """How a field is given on the command line."""

    help: str
    flags: tuple[str, ...] = ()
    """Empty: `--` and the field's name with dashes."""
    metavar: str | None = None
    """None: what its type says."""
    least: int | None = None
    most: int | None = None


class ReadingOptions(TypedDict, total=False):
    """Those of `ExportOptions` that say how a checkpoint is read: `inspect` and `verify` take them too."""

    vlm: Path | None
    tokenizer: Path | None
    revision: str | None
    stats: Path | None
    base: str | None
    adapter: AdapterUse | None


@dataclass(frozen=True)
class ExportOptions:
    """None or empty: not given. A field without an `ExportOption` is none of the command line."""

    repository: Annotated[
        Path, ExportOption("The model repository to publish in; made when absent.", ("--repository", "-r"))
    ] = Path("models")
    name: Annotated[str, ExportOption("The policy's name. Default: the checkpoint's.")] = ""
    embodiment: Annotated[
        str | None,
        ExportOption(
            "The robot it drives: franka, so101, so101_percent, so101_sim, ur5, or a path to an embodiment's JSON.",
            metavar="NAME|PATH",
        ),
    ] = None
    precision: Annotated[Precision, ExportOption("What the graphs compute in.")] = "fp32"
    engine: Annotated[EngineKind, ExportOption("Build engines too; the ONNX stays beside them.")] = "onnx"
    steps: Annotated[
        tuple[int, ...],
        ExportOption("Denoising steps; repeat it for further policies that share the encoder.", least=1, most=1000),
    ] = ()
    """Empty: the checkpoint's own number. The first is the policy `name`, each further one `<name>-<steps>steps`."""
    max_batch: Annotated[int, ExportOption("Largest batch of the denoise model.", least=1, most=64)] = 8
    optional_cameras: Annotated[
        frozenset[str],
        ExportOption("A camera that a request may leave out; the others are required.", ("--optional-camera",)),
    ] = frozenset()
    vlm: Annotated[Path | None, ExportOption("SmolVLA: the folder with its VLM's config.json.")] = None
    tokenizer: Annotated[Path | None, ExportOption("The folder with tokenizer.json, if the checkpoint has none.")] = (
        None
    )
    stats: Annotated[
        Path | None,
        ExportOption("Normalisation statistics: a LeRobot dataset's folder, its stats.json, or a safetensors file."),
    ] = None
    revision: Annotated[str | None, ExportOption("Branch, tag or commit of a Hugging Face id.", metavar="REVISION")] = (
        None
    )
    base: Annotated[
        str | None,
        ExportOption(
            "The base model of an adapter: a folder or a Hugging Face id. Default: as it says.", metavar="CHECKPOINT"
        ),
    ] = None
    adapter: Annotated[
        AdapterUse | None,
        ExportOption("What to do with an adapter beside whole weights; must be said when there is one."),
    ] = None
    cases: Annotated[
        Path | None, ExportOption("A folder of recorded cases (case_*.npz) that the export must reproduce.")
    ] = None
    description: Annotated[str, ExportOption("A sentence about the policy, for whoever serves it.", metavar="TEXT")] = (
        ""
    )
    untrained: Annotated[
        bool, ExportOption("Say that the weights mean nothing, like the demo checkpoint's.", ("--untrained",))
    ] = False
    check: Annotated[
        bool,
        ExportOption(
            "Run the graphs before publishing them. Without it the policy has no canary answer.",
            ("--check/--no-check",),
        ),
    ] = True
    force: Annotated[bool, ExportOption("Publish although parity failed; the record says so.", ("--force",))] = False
    units_checked: Annotated[
        bool,
        ExportOption(
            "Publish although the statistics read as other units than the embodiment's; warns.", ("--units-checked",)
        ),
    ] = False
    replace: Annotated[
        bool,
        ExportOption("Publish in place of a policy of the same name; without it that is refused.", ("--replace",)),
    ] = False
    dry_run: Annotated[bool, ExportOption("Do everything but publish.", ("--dry-run",))] = False

    engine_cache: Path | None = None
    """None: that of the user."""
    source: str | None = None
    """Where `verify` finds the checkpoint again; None: what the checkpoint calls itself."""

    @property
    def reading(self) -> ReadingOptions:
        return cast("ReadingOptions", {name: getattr(self, name) for name in ReadingOptions.__annotations__})
