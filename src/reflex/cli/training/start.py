"""`reflex training start`: a run is asked for, held to its bounds, and queued."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from reflex.cli.control.answering import answer
from reflex.cli.control.options import ControlOptions, with_control_options
from reflex.console import say

__all__ = ["start"]


@with_control_options
def start(
    at: ControlOptions,
    dataset_id: Annotated[
        str, typer.Argument(metavar="DATASET_ID", help="A valid one, as `reflex datasets registered` shows it.")
    ],
    *,
    base: Annotated[
        str,
        typer.Option(metavar="BASE", help="act, diffusion, smolvla, pi0, pi05, or model: and a folder or hub id."),
    ],
    method: Annotated[str, typer.Option(metavar="METHOD", help="full_finetune or lora_finetune.")] = "full_finetune",
    steps: Annotated[int, typer.Option(metavar="N", help="1 to 10,000,000.")] = 20_000,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Frames a step.")] = 8,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed begins the same.")] = 1_000,
    save_every: Annotated[
        int | None, typer.Option(metavar="N", help="Steps from one checkpoint to the next: 50 to the steps.")
    ] = None,
    warmup_steps: Annotated[int | None, typer.Option(metavar="N", help="At most half of the steps.")] = None,
    dtype: Annotated[str, typer.Option(metavar="TYPE", help="float32 or bfloat16.")] = "float32",
    learning_rate: Annotated[float | None, typer.Option(metavar="RATE", help="Default: the family's.")] = None,
    lora_rank: Annotated[int | None, typer.Option(metavar="N", help="4, 8, 16, 32 or 64. Default: 8.")] = None,
    lora_alpha: Annotated[int | None, typer.Option(metavar="N", help="1 to 256. Default: 16.")] = None,
    lora_dropout: Annotated[float | None, typer.Option(metavar="SHARE", help="0 to 0.5. Default: 0.")] = None,
    then: Annotated[str | None, typer.Option(metavar="LIST", help="What follows: export, or export,register.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Of the policy that is exported.")] = None,
    request_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Your own name for the run: the same id is the same run.")
    ] = None,
) -> None:
    """Queue a training run, and print its id. Every bound is checked before anything is queued.

    Exit code 5 when the dataset has not been validated.

    Example:

    \b
      reflex training start data_abc123 --base act --steps 3000 --request-id cubes-1
    """
    from reflex.training.request import LoraOptions, TrainingRequest

    given = {"rank": lora_rank, "alpha": lora_alpha, "dropout": lora_dropout}
    options: Any = {option: value for option, value in given.items() if value is not None}
    choices: Any = {"method": method, "dtype": dtype, "then": _parts(then)}
    request = TrainingRequest(
        dataset_id=dataset_id, base=base, steps=steps, batch_size=batch_size, seed=seed, save_every=save_every,
        warmup_steps=warmup_steps, learning_rate=learning_rate, lora=LoraOptions(**options) if options else None,
        name=name, **choices,
    )  # fmt: skip
    run = answer(
        at, lambda client: client.start_training_run(request, request_id=request_id), lambda made: [made["id"]]
    )
    if not at.as_json:
        place = f" at position {run['position']}" if run["position"] is not None else ""
        say(f"{run['state']}{place}; next: reflex training logs {run['id']} --follow")


def _parts(then: str | None) -> tuple[str, ...]:
    return () if then is None else tuple(part.strip() for part in then.split(","))
