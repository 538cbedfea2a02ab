"""`reflex inspect`: what a checkpoint or a policy is, and the least that it asks of a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reflex.cli.extras import load_extra
from reflex.export_options import AdapterUse

__all__ = ["inspect"]


def inspect(
    source: Annotated[
        str,
        typer.Argument(help="A checkpoint (a folder or a Hugging Face id), a model repository, or a policy's folder."),
    ],
    policy: Annotated[
        str | None, typer.Option(help="The policy to inspect, when SOURCE is a model repository.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Denoising steps, instead of the checkpoint's own.")
    ] = None,
    vlm: Annotated[Path | None, typer.Option(help="SmolVLA: the folder with its VLM's config.json.")] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="The folder with tokenizer.json, if the checkpoint has none.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hugging Face id.")] = None,
    stats: Annotated[
        Path | None,
        typer.Option(
            help="Normalisation statistics: a LeRobot dataset's folder, its stats.json, or a safetensors file."
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="The base model of an adapter: a folder or a Hugging Face id. Default: as it says."),
    ] = None,
    adapter: Annotated[AdapterUse | None, typer.Option(help="What to do with an adapter beside whole weights.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")] = False,
) -> None:
    """Say what a policy takes, how large it is, and the least milliseconds per chunk on common GPUs. Runs nothing."""
    inspector = load_extra("reflex_export.commands.inspect", "export")
    code: int = inspector.inspect_command(
        source,
        policy=policy,
        steps=steps,
        vlm=vlm,
        tokenizer=tokenizer,
        revision=revision,
        stats=stats,
        base=base,
        adapter=adapter,
        as_json=as_json,
    )
    raise typer.Exit(code)
