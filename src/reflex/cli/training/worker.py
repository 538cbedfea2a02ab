"""`reflex training worker`: takes runs from the control plane's queue, and trains them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reflex.cli.control.answering import reported
from reflex.cli.control.options import ControlOptions, with_control_options
from reflex.cli.extras import load_extra
from reflex.cli.interrupted import interruption_told
from reflex.cli.training.places import data_folder
from reflex.console import EXIT_FAILED, print_json, say
from reflex.errors import ReflexError
from reflex.training.port import ClaimedRun, Ending
from reflex.training.states import ENDED

if TYPE_CHECKING:
    from reflex.control import ControlClient

__all__ = ["worker"]

ANSWERS_S = 5.0
"""An outage holds up what is done between two beats for no longer."""
INTERRUPTED = "interrupted; a run that was going on goes back into the queue, and on at its last checkpoint"


@with_control_options
def worker(
    at: ControlOptions,
    *,
    once: Annotated[bool, typer.Option("--once", help="End after one run, or when there is none.")] = False,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where runs are kept. Default: reflex/training in your data.")
    ] = None,
    trainer: Annotated[
        Path | None, typer.Option(metavar="DIR", help="What `reflex training setup` made. Default: trainer in --data.")
    ] = None,
    repository: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where policies are exported to. Default: models in --data.")
    ] = None,
    embodiment: Annotated[
        str | None,
        typer.Option(metavar="NAME|PATH", help="What policies drive. Default: the robot that the dataset names."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What people call this worker. Default: the machine's name.")
    ] = None,
    keep_gb: Annotated[
        float, typer.Option(metavar="N", min=0, help="So many GB of ended runs stay in --data; the oldest go first.")
    ] = 100.0,
    loaders: Annotated[
        int, typer.Option(metavar="N", min=0, max=64, help="Processes that read the dataset, 0.8 GB each.")
    ] = 1,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=1024, help="Of the trainer on a CPU; 1 where others use the cores."),
    ] = None,
) -> None:
    """Take one run after the other from the queue, train it with LeRobot, and do what shall follow.

    Ends at Ctrl-C. A run that is interrupted, or whose worker dies, goes on at its last checkpoint.

    Example:

    \b
      reflex training worker --repository models
    """
    load_extra("reflex_learning.training.worker", "datasets", as_json=at.as_json)
    home = data or data_folder()
    with interruption_told(lambda: INTERRUPTED, as_json=at.as_json), reported(at):
        ending = _work(
            at, home, trainer or home / "trainer", repository or home / "models",
            once=once, name=name, embodiment=embodiment, keep_gb=keep_gb, loaders=loaders, threads=threads,
        )  # fmt: skip
    if at.as_json:
        print_json(None if ending is None else asdict(ending))
    if ending is not None and ending.state == "failed":
        raise typer.Exit(EXIT_FAILED)


def _work(
    at: ControlOptions,
    home: Path,
    trainer: Path,
    repository: Path,
    *,
    once: bool,
    name: str | None,
    embodiment: str | None,
    keep_gb: float,
    loaders: int,
    threads: int | None,
) -> Ending | None:
    from reflex.control.opening import open_client
    from reflex.control.run_queue import HttpRunQueue
    from reflex_learning.training.environment import read_environment
    from reflex_learning.training.machine import facts_of
    from reflex_learning.training.running import Place
    from reflex_learning.training.settings import TrainerSettings
    from reflex_learning.training.worker import run_worker

    found = read_environment(trainer)
    facts = facts_of(home, name, found)
    settings = TrainerSettings(python=found.python.absolute(), device=found.device, loaders=loaders, threads=threads)
    with open_client(at.api_key, convex_url=at.convex_url, deadline_s=ANSWERS_S) as client:
        place = Place(
            folder=home.absolute(),
            settings=settings,
            repository=repository.absolute(),
            embodiment=embodiment,
            register=_registering(client),
            has_ended=lambda run_id: _has_ended(client, run_id),
            kept_bytes=int(keep_gb * 1e9),
        )
        _say(at, f"worker {facts.name} trains {', '.join(facts.families)} on {found.device}")
        return run_worker(HttpRunQueue(client), facts, place, once=once, told=lambda what: _tell(at, what))


def _has_ended(client: ControlClient, run_id: str) -> bool:
    """False also where the control plane cannot be asked, or knows nothing of the run."""
    try:
        return client.get_training_run(run_id)["state"] in ENDED
    except ReflexError:
        return False


def _registering(client: ControlClient) -> Callable[[Path], object]:
    """With its hash and its config, as `reflex models register` does."""

    def register(policy: Path) -> object:
        from reflex.sdk.files import read_policy

        found = read_policy(policy)
        return client.register_model(
            name=found.name, content_hash=found.content_hash, config=found.config, source=found.source
        )

    return register


def _tell(at: ControlOptions, what: ClaimedRun | Ending | None) -> None:
    if isinstance(what, ClaimedRun):
        request = what.request
        _say(at, f"run {what.run_id}: {request.base} on {request.dataset_id}, {request.steps} steps")
    elif what is None:
        _say(at, "the run is another worker's by now, or has ended")
    else:
        _say(at, f"{what.state}: {what.reason}")


def _say(at: ControlOptions, line: str) -> None:
    if not at.as_json:
        say(line)
