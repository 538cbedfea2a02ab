"""`reflex connect`: run a robot from its `robot.yaml`, check whether it could, or write one to begin with."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from reflex.cli.connect.episodes import play
from reflex.cli.connect.keys import marked_by_keys
from reflex.cli.connect.told import exit_code_of_run, lines_of, print_checks
from reflex.cli.control.answering import reported
from reflex.cli.control.options import ControlOptions, with_control_options
from reflex.cli.extras import load_extra
from reflex.console import EXIT_FAILED, print_json, say, show

if TYPE_CHECKING:
    from reflex.connector.marks import EpisodeMarks
    from reflex_runner.motion.descent import StopCause
    from reflex_runner.running.options import RunOptions

__all__ = ["connect"]

Kind = Literal["so101", "sim", "subprocess"]
Mode = Literal["dry_run", "apply_actions"]
EpisodesOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="Play N episodes of a simulated robot from its seed on, and count the successes."
    ),
]
MarkOption = Annotated[
    bool,
    typer.Option("--mark-episodes", help="Record only episodes, which keys at this terminal begin and judge."),
]


@with_control_options
def connect(
    at: ControlOptions,
    *,
    config: Annotated[Path, typer.Option(metavar="FILE", help="What the robot is, and how it is run.")] = Path(
        "robot.yaml"
    ),
    mode: Annotated[
        Mode | None,
        typer.Option(metavar="MODE", help="dry_run moves nothing; apply_actions where robot.yaml says so too."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Hold the file against machine, server and session; nothing moves.")
    ] = False,
    init: Annotated[
        Kind | None, typer.Option(metavar="KIND", help="Write the file to begin with: so101, sim or subprocess.")
    ] = None,
    view: Annotated[
        bool,
        typer.Option("--view", help="Show cameras, chunk and guard on a page of this computer, live, and film it."),
    ] = False,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="RECORDING", help="Execute a recording's commands again, checked; no server is asked."),
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Steps of the run; 0: until Ctrl-C.")
    ] = None,
    episodes: EpisodesOption = None,
    mark_episodes: MarkOption = False,
    no_record: Annotated[bool, typer.Option("--no-record", help="Record nothing. [env: REFLEX_NO_RECORD=1]")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="After a stop, ask at this terminal whether the run goes on.")
    ] = False,
) -> None:
    """Run a robot: observe, ask the policy, check every command, apply it, and stop safely whatever breaks.

    In dry_run, the default, everything is done but moving. Ctrl-C stops the robot as its embodiment says; twice, it is
    held where it is. Exit code 0 when nothing went wrong, 1 after an error, 3 without a valid key, 4 when server or
    control plane cannot be reached, 5 when deployment or session do not allow it, 130 after Ctrl-C.

    Example:

    \b
      reflex connect --init sim
      reflex connect --check
      reflex connect --config robot.yaml --max-steps 300
      reflex connect --replay recordings/2026-11-27T20-15-00Z_so101_sim_7b9200
      reflex connect --config examples/sim.yaml --episodes 50
    """
    if init is not None:
        _init(at, init, config)
    elif check:
        _check(at, config, mode)
    else:
        with ExitStack() as opened:
            marks = _marks(opened, resume=resume, episodes=episodes) if mark_episodes else None
            _run(at, config, mode, max_steps, replay, episodes, marks, records=not no_record, resume=resume, view=view)


def _init(at: ControlOptions, kind: Kind, path: Path) -> None:
    templates = load_extra("reflex_runner.config.templates", "runner", as_json=at.as_json)
    with reported(at):
        templates.write_template(kind, path)
    if at.as_json:
        print_json({"ok": True, "config": str(path), "kind": kind})
        return
    show(str(path))
    say(f"Look it through, then: reflex connect --config {path} --check")


def _check(at: ControlOptions, path: Path, mode: Mode | None) -> None:
    running = load_extra("reflex_runner.running.checking", "runner", as_json=at.as_json)
    with reported(at):
        checks = running.check_config(path, mode, api_key=at.api_key, convex_url=at.convex_url)
    failed = [each.id for each in checks if each.status == "fail"]
    if at.as_json:
        print_json({"ok": not failed, "config": str(path), "checks": [each.as_json() for each in checks]})
    else:
        print_checks(checks, path)
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _run(
    at: ControlOptions,
    path: Path,
    mode: Mode | None,
    max_steps: int | None,
    replay: Path | None,
    episodes: int | None,
    marks: EpisodeMarks | None,
    *,
    records: bool,
    resume: bool,
    view: bool,
) -> None:
    running = load_extra("reflex_runner.running.run", "runner", as_json=at.as_json)
    options = load_extra("reflex_runner.running.options", "runner", as_json=at.as_json)
    asked: RunOptions = options.RunOptions(
        mode=mode,
        max_steps=max_steps,
        replay=replay,
        records=records,
        api_key=at.api_key,
        convex_url=at.convex_url,
        consent=_asker() if resume else None,
        say=lambda line: say(f"reflex: {line}"),
        view=view,
        episodes=marks,
    )
    if episodes is not None:
        play(at, path, asked, episodes)
        return
    with reported(at):
        outcome = running.run_file(path, asked)
    if at.as_json:
        print_json(outcome.as_json())
    else:
        for line in lines_of(outcome):
            show(line)
    code = exit_code_of_run(outcome)
    if code:
        raise typer.Exit(code)


def _marks(opened: ExitStack, *, resume: bool, episodes: int | None) -> EpisodeMarks:
    """One terminal cannot be asked and listened to at once, and a simulator judges by itself."""
    from reflex.connector.marks import EpisodeMarks

    if resume or episodes is not None:
        raise typer.BadParameter("cannot be given with --resume or --episodes", param_hint="--mark-episodes")
    marks = EpisodeMarks()
    opened.enter_context(marked_by_keys(marks, lambda line: say(f"reflex: {line}")))
    return marks


def _asker() -> Callable[[StopCause], bool]:
    """Only a person may let what has stopped move again."""
    if not sys.stdin.isatty():
        raise typer.BadParameter("needs a terminal, at which somebody who sees the robot says that it may go on",
                                 param_hint="--resume")  # fmt: skip

    def ask(cause: StopCause) -> bool:
        say(f"The robot is stopped: {cause.message}")
        try:
            return typer.confirm("Look at it. Does the run go on?", default=False, err=True)
        except typer.Abort:  # Ctrl-C, or an end of the input
            return False

    return ask
