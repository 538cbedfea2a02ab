"""`reflex receipts`: signed lines of what happened, as a list, as a file, and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reflex.cli.control.answering import answer, reported, table
from reflex.cli.control.options import ControlOptions, with_control_options
from reflex.console import EXIT_FAILED, print_json, say, show
from reflex.errors import SetupError

if TYPE_CHECKING:
    from reflex.signed.receipts import Verdict
    from reflex.signed.signing import Keyset

__all__ = ["receipts"]

COLUMNS = ("seq", "timestamp", "kind", "sessionId", "robotId", "mode", "reason")
FROM_THE_FILE = "the file itself"

IdOption = Annotated[str | None, typer.Option(metavar="ID", help="Only those of this one.")]

receipts = typer.Typer(help="Show, export and check receipts.", no_args_is_help=True, rich_markup_mode=None)


@receipts.callback()
def _receipts() -> None:
    """Show, export and check receipts."""


@receipts.command(name="list", short_help="Show what happened.")
@with_control_options
def list_(
    at: ControlOptions,
    *,
    deployment_id: IdOption = None,
    session_id: IdOption = None,
    robot_id: IdOption = None,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Only those of this kind, like promote.")] = None,
    after: Annotated[int | None, typer.Option(metavar="SEQ", min=0, help="Only those after this one.")] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="So many at most.")] = None,
) -> None:
    """Show receipts, oldest first, a page at a time: number, moment, kind, session, robot, mode and reason.

    Example:

    \b
      reflex receipts list --deployment-id deploy_abc123
    """
    found = answer(
        at,
        lambda client: client.list_receipts(
            deployment_id=deployment_id, session_id=session_id, robot_id=robot_id, kind=kind, after=after, limit=limit
        ),
        lambda page: table(COLUMNS, [{**each} for each in page["receipts"]]),
    )
    if not at.as_json and found.get("nextAfter") is not None:
        say(f"more: --after {found['nextAfter']}")


@receipts.command(short_help="Write them all to a file.")
@with_control_options
def export(
    at: ControlOptions,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="Default: standard output.")
    ] = None,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="JSON, a receipt a line: the one form there is, so this changes nothing.")
    ] = False,
) -> None:
    """Write all receipts as JSON lines. `reflex receipts verify` checks such a file, without the control plane.

    Example:

    \b
      reflex receipts export --jsonl --output receipts.jsonl
    """
    del jsonl
    with reported(at):
        from reflex.control.opening import open_client

        with open_client(at.api_key, convex_url=at.convex_url) as client:
            content = client.export_receipts()
        if output is not None:
            _write(output, content)
    if output is None:
        typer.echo(content.decode("utf-8", "replace"), nl=False)
    elif at.as_json:
        print_json({"file": str(output), "bytes": len(content)})
    else:
        say(f"{output}: check it with: reflex receipts verify")


@receipts.command(short_help="Check an exported file.")
@with_control_options
def verify(
    at: ControlOptions,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `reflex receipts export` wrote.")],
    *,
    keyset: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The keys to trust: what /v1/keyset of the control plane says.")
    ] = None,
) -> None:
    """Check that no receipt was changed, removed, moved or added. Exit code 1, and the first bad line, if one was.

    Offline, by the keys of --keyset. With --convex-url the keys are asked for there; with neither they are those that
    the file names, which shows that it agrees with itself, and not who wrote it.

    Example:

    \b
      reflex receipts verify receipts.jsonl --keyset keyset.json
    """
    with reported(at):
        from reflex.signed.receipts import verify_lines

        trusted, origin = _trusted_keys(at, keyset)
        verdict = verify_lines(_read(file).splitlines(keepends=True), trusted)
    if at.as_json:
        print_json(_verdict_as_json(verdict, origin))
    else:
        _say_verdict(file, verdict, origin)
    if not verdict.is_whole:
        raise typer.Exit(EXIT_FAILED)


def _trusted_keys(at: ControlOptions, keyset: Path | None) -> tuple[Keyset | None, str]:
    """The keys, and whose they are in words."""
    from reflex.control.opening import open_client
    from reflex.signed.signing import Keyset

    if keyset is not None:
        return Keyset.from_json(_read(keyset)), str(keyset)
    if at.convex_url is None:
        return None, FROM_THE_FILE
    with open_client(at.api_key, convex_url=at.convex_url) as client:
        return Keyset.from_json({**client.public_keys()}), at.convex_url


def _verdict_as_json(verdict: Verdict, origin: str) -> dict[str, Any]:
    return {
        "whole": verdict.is_whole,
        "receipts": verdict.receipts,
        "organisation": verdict.organisation,
        "firstSeq": verdict.first_seq,
        "lastSeq": verdict.last_seq,
        "badLine": verdict.bad_line,
        "fault": verdict.fault,
        "keysFrom": origin,
    }


def _say_verdict(file: Path, verdict: Verdict, origin: str) -> None:
    if verdict.is_whole:
        show(f"whole: {verdict.receipts} receipts of {verdict.organisation}, by the keys of {origin}")
    else:
        show(f"broken at line {verdict.bad_line}: {verdict.fault}; the {verdict.receipts} receipts before it are right")
    if origin == FROM_THE_FILE:
        say(f"the keys are those that {file} names itself: give --keyset or --convex-url to know whose they are")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise SetupError(f"{path} cannot be read: {exc.strerror}") from exc


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as exc:
        raise SetupError(f"{path} cannot be written: {exc.strerror}") from exc
