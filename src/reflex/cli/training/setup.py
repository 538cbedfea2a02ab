"""`reflex training setup`: the environment in which a worker trains."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from reflex.cli.extras import load_extra
from reflex.cli.interrupted import interruption_told
from reflex.cli.options import JsonOption
from reflex.cli.training.places import trainer_folder
from reflex.console import print_json, reported_errors, say
from reflex.training.request import FAMILIES

__all__ = ["setup"]

AGAIN: Final = "interrupted; run it again, and it goes on"


def setup(
    *,
    cpu: Annotated[bool, typer.Option("--cpu", help="Train on the CPU. Default: on a GPU, if there is one.")] = False,
    family: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"Repeat it: {', '.join(FAMILIES)}. Default: all of them."),
    ] = None,
    python: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A Python 3.12 or 3.13. Default: one that is found.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where it goes. Default: reflex/training/trainer in your data.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Install LeRobot 0.6.1 into an environment of its own: 5.7 GB with CUDA, and some minutes.

    It needs a Python 3.12 or 3.13, which may be another one than that of Reflex. Interrupted, it is run again, and goes
    on with what is missing. For 1.7 GB without CUDA it needs uv.

    Example:

    \b
      reflex training setup --cpu --family act
    """
    environment = load_extra("reflex_learning.training.environment", "datasets", as_json=as_json)
    machine = load_extra("reflex_learning.training.machine", "datasets", as_json=as_json)
    if unknown := sorted(set(family or ()) - set(FAMILIES)):
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(FAMILIES)}", param_hint="--family")
    home = folder or trainer_folder()
    with interruption_told(lambda: AGAIN, as_json=as_json), reported_errors(as_json=as_json):
        device = "cpu" if cpu or machine.gpu_memory() is None else "cuda"
        found = environment.find_python(python)
        say(f"LeRobot for {device} takes up to {environment.GIGABYTES['cuda']:g} GB in {home}, and some minutes")
        made = environment.set_up(home, found, device, family or FAMILIES, _run)
    if as_json:
        print_json({"folder": str(home), "device": made.device, "families": list(made.families)})
    else:
        say(f"{home} trains {', '.join(made.families)} on {made.device}; next: reflex training worker")


def _run(argv: Sequence[str]) -> int:
    """What it prints is for people; stdout is the result's."""
    return subprocess.run(argv, stdout=sys.stderr, check=False).returncode  # noqa: S603
