"""`reflex doctor`: can this machine serve, and if not, what is the line to type?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from reflex.console import EXIT_FAILED, print_json, say

if TYPE_CHECKING:
    from reflex.cli.diagnosis.checks import Check

__all__ = ["doctor"]

_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL", "info": "info"}
_COLOURS = {"ok": typer.colors.GREEN, "warn": typer.colors.YELLOW, "fail": typer.colors.RED, "info": typer.colors.BLUE}


def doctor(
    *,
    port: Annotated[int, typer.Option(min=1, max=65535, metavar="PORT", help="The port to listen on.")] = 8000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as one JSON object.")] = False,
) -> None:
    """Check this machine for `reflex serve`; each failed check says how to fix it. Exit code 1 when one failed.

    Example:

    \b
      reflex doctor --port 9000
    """
    from reflex.cli.diagnosis.machine import check_machine

    checks = list(check_machine(port))
    failed = [check.name for check in checks if check.status == "fail"]
    if as_json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    else:
        _print_for_people(checks, failed)
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _print_for_people(checks: list[Check], failed: list[str]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        mark = typer.style(_MARKS[check.status], fg=_COLOURS[check.status])
        typer.echo(f"{mark}  {check.name:<{width}}  {check.detail}")
        if check.fix is not None:
            typer.echo(f"{'':<{width + 6}}  -> {check.fix}")
    if not failed:
        say("This machine can run `reflex serve`.")
        return
    say(f"{len(failed)} to fix: {', '.join(failed)}. (The client and `reflex act` need only python and reflex.)")
