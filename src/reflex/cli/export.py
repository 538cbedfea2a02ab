"""`reflex export` and `reflex verify`: from a checkpoint to a model repository."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from reflex.cli.extras import load_extra
from reflex.cli.interrupted import ended_by_interruption

__all__ = ["export", "verify"]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]
Cases = Annotated[
    Path | None, typer.Option(help="A folder of recorded cases (case_*.npz) that the export must reproduce.")
]
TokenizerFolder = Annotated[
    Path | None, typer.Option(help="The folder with tokenizer.json, if the checkpoint has none.")
]
Vlm = Annotated[Path | None, typer.Option(help="SmolVLA: the folder with its VLM's config.json.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hugging Face id.")]
Description = Annotated[str, typer.Option(help="A sentence about the policy, for whoever serves it.")]
Untrained = Annotated[
    bool, typer.Option("--untrained", help="Say that the weights mean nothing, like the demo checkpoint's.")
]
EmbodimentName = Annotated[
    str | None, typer.Option(help="The robot it drives: franka, so101, ur5, or a path to an embodiment's JSON.")
]
Steps = Annotated[
    list[int] | None,
    typer.Option(min=1, max=1000, help="Denoising steps; repeat it for further policies that share the encoder."),
]
OptionalCameras = Annotated[
    list[str] | None, typer.Option(help="A camera that a request may leave out; the others are required.")
]
Check = Annotated[
    bool,
    typer.Option(
        "--check/--no-check", help="Run the graphs before publishing them. Without it the policy has no canary answer."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Publish although parity failed; the record says so.")]
Replace = Annotated[
    bool, typer.Option("--replace", help="Publish in place of a policy of the same name; without it that is refused.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Do everything but publish.")]
Repository = Annotated[Path, typer.Argument(help="The model repository.", exists=True, file_okay=False)]


def export(
    source: Annotated[
        str, typer.Argument(help="A checkpoint: a folder, or a Hugging Face id like lerobot/smolvla_base.")
    ],
    repository: Annotated[
        Path, typer.Option("--repository", "-r", help="The model repository to publish in; made when absent.")
    ] = Path("models"),
    name: Annotated[str | None, typer.Option(help="The policy's name. Default: the checkpoint's.")] = None,
    embodiment: EmbodimentName = None,
    precision: Annotated[Literal["fp32", "fp16"], typer.Option(help="What the graphs compute in.")] = "fp32",
    engine: Annotated[
        Literal["onnx", "tensorrt", "tensorrt-rtx"], typer.Option(help="Build engines too; the ONNX stays beside them.")
    ] = "onnx",
    steps: Steps = None,
    max_batch: Annotated[int, typer.Option(min=1, max=64, help="Largest batch of the denoise model.")] = 8,
    optional_camera: OptionalCameras = None,
    vlm: Vlm = None,
    tokenizer: TokenizerFolder = None,
    revision: Revision = None,
    cases: Cases = None,
    description: Description = "",
    *,
    untrained: Untrained = False,
    check: Check = True,
    force: Force = False,
    replace: Replace = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Turn a LeRobot checkpoint into a policy of a model repository. Needs no PyTorch.

    SmolVLA, pi0, pi0.5, ACT and Diffusion Policy. What is not supported is refused by name; a failure or Ctrl-C leaves
    the repository as it was.
    """
    with ended_by_interruption(repository, as_json=as_json):
        exporter = load_extra("reflex_export.commands.export", "export")
        code: int = exporter.export_command(
            source,
            repository=repository,
            name=name,
            embodiment=embodiment,
            precision=precision,
            engine=engine,
            steps=tuple(steps or ()),
            max_batch=max_batch,
            optional_cameras=tuple(optional_camera or ()),
            vlm=vlm,
            tokenizer=tokenizer,
            revision=revision,
            cases=cases,
            untrained=untrained,
            description=description,
            check=check,
            force=force,
            replace=replace,
            dry_run=dry_run,
            as_json=as_json,
        )
    raise typer.Exit(code)


def verify(
    repository: Repository,
    policy: Annotated[str, typer.Option(help="The policy to check.")],
    source: Annotated[
        str | None, typer.Option(help="The checkpoint that it was exported from. Default: the one it names.")
    ] = None,
    cases: Annotated[
        Path | None,
        typer.Option(help="A folder of recorded cases (case_*.npz). Default: generated ones."),
    ] = None,
    vlm: Vlm = None,
    tokenizer: TokenizerFolder = None,
    revision: Revision = None,
    *,
    as_json: Json = False,
) -> None:
    """Hold a policy of a repository against its checkpoint, and say where they part; fails when it misses its gate."""
    with ended_by_interruption(repository, as_json=as_json):
        verifier = load_extra("reflex_export.commands.verify", "export")
        code: int = verifier.verify_command(
            repository,
            policy=policy,
            source=source,
            cases=cases,
            vlm=vlm,
            tokenizer=tokenizer,
            revision=revision,
            as_json=as_json,
        )
    raise typer.Exit(code)
