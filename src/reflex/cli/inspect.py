"""`reflex inspect`: what a checkpoint or a policy is, and the least that it asks of a GPU."""

from __future__ import annotations

from typing import Annotated, Unpack

import typer

from reflex.cli.export import with_reading_options
from reflex.cli.extras import load_extra
from reflex.cli.options import JsonOption
from reflex.export_options import ReadingOptions

__all__ = ["inspect"]


@with_reading_options
def inspect(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A checkpoint (a folder or a Hugging Face id), a model repository, or a policy's folder.",
        ),
    ],
    policy: Annotated[
        str | None, typer.Option(metavar="NAME", help="The policy to inspect, when SOURCE is a model repository.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, max=1000, metavar="N", help="Denoising steps, instead of the checkpoint's own.")
    ] = None,
    *,
    as_json: JsonOption = False,
    **reading: Unpack[ReadingOptions],
) -> None:
    """Say what a policy takes, how large it is, and the least milliseconds per chunk on common GPUs. Runs nothing.

    Example:

    \b
      reflex inspect lerobot/smolvla_base --steps 5
    """
    inspector = load_extra("reflex_export.commands.inspect", "export", as_json=as_json)
    code: int = inspector.inspect_command(source, policy=policy, steps=steps, as_json=as_json, **reading)
    raise typer.Exit(code)
