"""`reflex doctor`: can this machine serve, or this deployment drive, and if not, what is the line to type?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from reflex.cli.control.deploy import run_doctor
from reflex.cli.control.options import ControlOptions, with_control_options
from reflex.console import EXIT_FAILED, print_json, say

if TYPE_CHECKING:
    from reflex.cli.diagnosis.checks import Check

__all__ = ["doctor"]

_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL", "info": "info"}
_COLOURS = {"ok": typer.colors.GREEN, "warn": typer.colors.YELLOW, "fail": typer.colors.RED, "info": typer.colors.BLUE}


@with_control_options
def doctor(
    at: ControlOptions,
    deployment_id: Annotated[
        str | None, typer.Argument(metavar="DEPLOYMENT_ID", help="Check this deployment instead of this machine.")
    ] = None,
    *,
    port: Annotated[int, typer.Option(min=1, max=65535, metavar="PORT", help="The port to listen on.")] = 8000,
) -> None:
    """Check this machine for `reflex serve`; each failed check says how to fix it. Exit code 1 when one failed.

    With DEPLOYMENT_ID it asks the control plane whether that deployment may drive hardware, and exits with 5 if not.

    Example:

    \b
      reflex doctor --port 9000
      reflex doctor deploy_abc123
    """
    if deployment_id is not None:
        run_doctor(at, deployment_id)
    else:
        _check_this_machine(port, as_json=at.as_json)


def _check_this_machine(port: int, *, as_json: bool) -> None:
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
