"""`reflex replay`: recorded requests once more, and whether the answers are the recorded ones."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reflex.cli.options import ApiKeyOption, JsonOption
from reflex.console import EXIT_FAILED, print_json, reported_errors, say, show
from reflex.errors import SetupError
from reflex.wording.nouns import counted

if TYPE_CHECKING:
    from reflex_analysis.deviation import Deviation
    from reflex_analysis.replay import Replay

__all__ = ["replay"]

DEADLINE_S = 10.0
"""The longest that a server takes; a replay is in no hurry."""

Recording = Annotated[Path, typer.Argument(metavar="TRACE", help="A folder of recordings, or one file of it.")]
Against = Annotated[
    str,
    typer.Option(
        metavar="URL|REPOSITORY", help="A running server, or a model repository, which is served for the replay alone."
    ),
]
Policy = Annotated[
    str | None, typer.Option(metavar="NAME", help="The policy to serve, when the repository holds several.")
]
Tolerance = Annotated[
    float, typer.Option(min=0.0, metavar="X", help="The largest difference that counts as equal, in robot units.")
]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="Replay the first N requests that can be.")]


def replay(
    recording: Recording,
    *,
    against: Against,
    policy: Policy = None,
    tolerance: Tolerance = 0.0,
    limit: Limit = None,
    api_key: ApiKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send recorded requests again, with the same noise, and list where the answers differ.

    Exits with 0 when every answer is the recorded one, with 1 when one differs or failed, or none could be replayed.

    Example:

    \b
      reflex replay recordings --against http://127.0.0.1:9000 --tolerance 1e-4
    """
    if not math.isfinite(tolerance):
        raise typer.BadParameter("must be a finite number", param_hint="--tolerance")
    is_url = against.startswith(("http://", "https://"))
    if is_url and policy is not None:
        raise typer.BadParameter("only for a model repository; a running server has its policy", param_hint="--policy")
    with reported_errors(as_json=as_json), _target(recording, against, policy, is_url=is_url) as (url, guard):
        found = _replayed(recording, url, guard=guard, tolerance=tolerance, limit=limit, api_key=api_key)
    if as_json:
        print_json(dataclasses.asdict(found) | {"differing": found.differing, "equal_all": found.is_equal})
    else:
        _show(found)
    raise typer.Exit(0 if found.is_equal else EXIT_FAILED)


@contextlib.contextmanager
def _target(recording: Path, against: str, policy: str | None, *, is_url: bool) -> Iterator[tuple[str, bool | None]]:
    """The server's URL, and whether its guard is on, if that is known."""
    from reflex.cli.trace_text import holds_nothing
    from reflex.traces.reader import TraceReader
    from reflex_analysis.child_server import served_repository

    reader = TraceReader(recording)
    first = next(iter(reader), None)  # before a server is started for nothing
    if first is None:
        raise holds_nothing(recording, reader.losses)
    if is_url:
        yield against, None
        return
    if not Path(against).is_dir():
        raise SetupError(f"--against {against} is neither a URL like http://localhost:8000 nor a model repository")
    guard = bool(first.header.settings.get("guard", True))
    say(f"serving {against} for the replay, its guard {_on_off(guard)} as in the recording")
    rtc = first.header.settings.get("rtc")
    with served_repository(Path(against), policy=policy, guard=guard, rtc=rtc) as url:
        yield url, guard


def _replayed(
    recording: Path, url: str, *, guard: bool | None, tolerance: float, limit: int | None, api_key: str | None
) -> Replay:
    from reflex.client import ReflexClient
    from reflex.traces.reader import TraceReader
    from reflex_analysis.replay import asker, replay_recording
    from reflex_analysis.replayable import read_target_policies

    with ReflexClient(url, deadline_s=DEADLINE_S, api_key=api_key) as client, _progress() as show:
        policies = read_target_policies(client.config())
        return replay_recording(
            TraceReader(recording), asker(client), policies,
            tolerance=tolerance, limit=limit, guard=guard, on_progress=show,
        )  # fmt: skip


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[Replay], None]]:
    """One line that counts, on a terminal; nothing in a log."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    try:
        yield lambda replay: typer.echo(
            f"\r{replay.replayed:,} replayed, {replay.replayed - replay.equal:,} not equal ", err=True, nl=False
        )
    finally:
        typer.echo("\r\033[K", err=True, nl=False)


def _show(found: Replay) -> None:
    from reflex.cli.trace_text import loss_lines

    for deviation in found.deviations:
        show(_deviation_line(deviation))
    if found.differing > len(found.deviations):
        show(f"... and {found.differing - len(found.deviations):,} more")
    if _compared(found):
        for code, count in found.failures.items():
            show(f"{count:,} failed now with {code}")
    show(_verdict(found))
    for reason, count in found.skipped.items():
        say(f"not replayed: {count:,}, {'each ' if count > 1 else ''}because {reason}")
    for recorded, now in found.other_hashes.items():
        say(f"another policy: recorded with {recorded[:19]}, replayed with {now[:19]}")
    say(f"guard: {_on_off(found.guard_recorded)} when recorded, {_on_off(found.guard_replayed)} now")
    for line in loss_lines(found.losses):
        say(f"reflex: {line}")


def _compared(found: Replay) -> int:
    return found.replayed - sum(found.failures.values())


def _verdict(found: Replay) -> str:
    if not found.replayed:
        return "nothing could be replayed"
    if not _compared(found):
        failed = (f"{count:,} failed with {code}" for code, count in found.failures.items())
        return f"nothing could be compared: {', '.join(failed)}"
    answers = counted(found.replayed, "answer")
    bound = "exactly" if found.tolerance == 0 else f"within {found.tolerance:g}"
    if found.is_equal:
        return f"equal: {found.replayed:,} of {answers}, {bound} (largest difference {found.max_abs:.3g})"
    verb = "is" if found.replayed == 1 else "are"
    return f"different: {found.equal:,} of {answers} {verb} equal {bound} (max-abs {found.max_abs:.3g})"


def _deviation_line(found: Deviation) -> str:
    episode = "" if found.episode_id is None else f" of episode {found.episode_id}"
    request = f"record {found.record_seq}{episode} (request {found.request_id})"
    if found.step is None:
        return f"{request}: a chunk of another shape"
    values = f"recorded {found.recorded:.9g}, now {found.replayed:.9g}"
    return f"{request}: first at step {found.step}, {found.axis}: {values}; at most {found.max_abs:.3g}"


def _on_off(guard: bool | None) -> str:  # noqa: FBT001 - one value in words
    return {True: "on", False: "off", None: "unknown"}[guard]
