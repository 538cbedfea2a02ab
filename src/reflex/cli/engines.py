"""`reflex engines build` and `reflex engines wait`: TensorRT engines, made where a GPU is and served by others."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from reflex.cli.extras import load_extra
from reflex.cli.interrupted import ended_by_interruption, interruption_told
from reflex.cli.options import JsonOption
from reflex.console import print_json, reported_errors, say
from reflex.errors import SetupError
from reflex.shared_engines import CURRENT, await_engines, link_engines

__all__ = ["engines"]

REMIND_S: Final = 30.0

Repository = Annotated[
    Path, typer.Argument(metavar="REPOSITORY", help="The model repository.", exists=True, file_okay=False)
]
Shared = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        file_okay=False,
        help="Build once for every machine that mounts FOLDER, in a copy there; the repository is only read. What was "
        "built for the same policy, TensorRT and GPU is found again, and of two builds at once the second waits.",
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", file_okay=False, help="Where built engines are kept. Default: ~/.cache/reflex/engines."
    ),
]
LockTimeout = Annotated[
    float,
    typer.Option(metavar="SECONDS", min=0, help="With --shared: how long to wait for another build in that folder."),
]
Link = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH", help="Make PATH a link to the engines' repository; what was a link there is replaced."
    ),
]
WaitTimeout = Annotated[float, typer.Option(metavar="SECONDS", min=0, help="Give up after so long.")]
Job = Annotated[
    str | None, typer.Option(metavar="NAME", help="The Kubernetes Job that builds, named in what this says.")
]

engines = typer.Typer(
    help="TensorRT engines of the policies in a model repository.", no_args_is_help=True, rich_markup_mode=None
)


@engines.command(short_help="Build engines from the ONNX in a repository.")
def build(
    repository: Repository,
    policy: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="This policy, and those that share its models. Default: all of them."),
    ] = None,
    engine: Annotated[
        Literal["tensorrt", "tensorrt-rtx"] | None,
        typer.Option(metavar="tensorrt|tensorrt-rtx", help="Default: what is installed, tensorrt first."),
    ] = None,
    shared: Shared = None,
    cache: Cache = None,
    lock_timeout: LockTimeout = 3600.0,
    *,
    as_json: JsonOption = False,
) -> None:
    """Build TensorRT engines on the machine that will serve, from the ONNX in the repository.

    Example, for a fleet that mounts /engines:

    \b
      reflex engines build models --shared /engines/l40s
      reflex serve --model-repository "$(reflex engines wait /engines/l40s)"
    """
    with ended_by_interruption(shared or repository, as_json=as_json):
        builder = load_extra("reflex_export.commands.engines", "tensorrt", as_json=as_json)
        if shared is None:
            builder.build_command(repository, policy=policy, engine=engine, cache=cache, as_json=as_json)
        else:
            builder.build_shared_command(
                repository,
                shared,
                policy=policy,
                engine=engine,
                cache=cache,
                lock_timeout_s=lock_timeout,
                as_json=as_json,
            )


@engines.command(short_help="Wait for engines that another machine builds.")
def wait(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of `reflex engines build --shared`.")],
    link: Link = None,
    timeout: WaitTimeout = 3600.0,
    job: Job = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Wait until the engines of `reflex engines build --shared FOLDER` are there, and print where they lie.

    Whoever serves that place keeps it: a later build becomes current for those who start after it.

    Example:

    \b
      reflex engines wait /engines/l40s --link /models/repository --timeout 600
    """
    interrupted = interruption_told(
        lambda: f"interrupted; {folder / CURRENT} names no finished engines", as_json=as_json
    )
    with interrupted, reported_errors(as_json=as_json):
        try:
            place = await_engines(folder, timeout, _Reminder(folder, job, is_silent=as_json).remind)
        except SetupError as exc:
            raise SetupError(f"gave up: {exc}; {_remedy(folder, job)}") from exc
        if link is not None:
            link_engines(place, link)
    if as_json:
        print_json({"place": str(place), "link": None if link is None else str(link)})
        return
    if link is not None:
        say(f"serving {place}")
    typer.echo(place)


class _Reminder:
    """Says every half minute what is waited for."""

    def __init__(self, folder: Path, job: str | None, *, is_silent: bool) -> None:
        self._what = f"waiting for job/{job}" if job else "waiting"
        self._pointer = folder / CURRENT
        self._is_silent = is_silent
        self._due_s = time.monotonic()

    def remind(self, left_s: float) -> None:
        if time.monotonic() < self._due_s or self._is_silent:
            return
        self._due_s += REMIND_S
        say(f"{self._what}: {self._pointer} names no finished engines ({left_s:.0f} s left)")


def _remedy(folder: Path, job: str | None) -> str:
    if job is not None:
        return f"see: kubectl logs job/{job}"
    return f"build them: reflex engines build REPOSITORY --shared {shlex.quote(str(folder))}"
