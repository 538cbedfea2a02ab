"""How a run and a check are told to people, and which exit code a run has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reflex.cli.control.answering import EXIT_AUTHENTICATION, EXIT_NOT_READY, EXIT_UNREACHABLE, NOT_READY_CODES
from reflex.console import EXIT_FAILED, EXIT_INTERRUPTED, say, show

if TYPE_CHECKING:
    from reflex.readiness.checking import Check
    from reflex_runner.loop.tally import RunProblem
    from reflex_runner.motion.descent import StopCause
    from reflex_runner.running.run import Outcome

__all__ = ["exit_code_of", "exit_code_of_run", "lines_of", "print_checks"]

MARKS: Final = {"pass": "ok  ", "warn": "warn", "fail": "FAIL", "skip": "-   "}
NOT_PERMITTED: Final = "not_permitted"
REFUSED_KEYS: Final = ("unauthorized", "stream_key", "key_rejected")
UNREACHABLE: Final = ("unreachable", "client_timeout", "recv_timeout", "backend_unreachable")
ENDED: Final = {"interrupted": EXIT_INTERRUPTED, "terminated": 143}
"""By who ended the run: Ctrl-C, SIGTERM."""
SAFE_STOP: Final = "Safe stop fired mid-run"
AFTER_SAFE_STOP: Final = (
    "The streaming session died mid-loop, so the runner brought the robot to a known-safe state. After resolving the "
    "underlying network or server issue, re-run reflex connect."
)
OF_THE_STREAM: Final = (*UNREACHABLE, *REFUSED_KEYS, "stale_chunk", "never_began", "session_expired")
"""Network or server: what is wrong with the robot itself has words of its own."""


def print_checks(checks: Sequence[Check], path: Path) -> None:
    """A line for each, and its fix below it."""
    width = max(len(check.id) for check in checks)
    for check in checks:
        show(f"{MARKS[check.status]}  {check.id:<{width}}  {check.message}")
        if check.fix is not None and check.status in ("fail", "warn"):
            show(f"{'':<{width + 6}}  -> {check.fix}")
    failed = [check.id for check in checks if check.status == "fail"]
    if failed:
        say(f"{len(failed)} to fix: {', '.join(failed)}")
    else:
        say(f"Nothing moved. Run it: reflex connect --config {path}")


def lines_of(outcome: Outcome) -> Iterator[str]:
    """What happened; errors go to stderr."""
    result = outcome.result
    moved = f"{result.applied_steps} applied" if outcome.mode == "apply_actions" else "none applied (dry_run)"
    yield f"{result.steps} steps, {moved}, {result.safe_stops} safe stops"
    if result.latency_ms:
        yield "policy: " + ", ".join(f"{name} {value:g} ms" for name, value in result.latency_ms.items())
    yield from (f"recorded: {each}" for each in outcome.recordings)
    if result.errors and result.safe_stops:
        first = result.errors[0]
        say(f"{SAFE_STOP}: {first.message}.{f' {AFTER_SAFE_STOP}' if first.code in OF_THE_STREAM else ''}")
    for error in result.errors:
        say(f"reflex: {error.code}: {error.message}")


def exit_code_of_run(outcome: Outcome) -> int:
    """By the first error; without one, by who ended it."""
    return exit_code_of(outcome.result.errors, outcome.ended_by)


def exit_code_of(errors: Sequence[RunProblem], ended_by: StopCause | None) -> int:
    """The same, of what came of it."""
    if not errors:
        return 0 if ended_by is None else ENDED.get(ended_by.code, 0)
    code = errors[0].code
    if code == NOT_PERMITTED or code in NOT_READY_CODES:
        return EXIT_NOT_READY
    if code in REFUSED_KEYS:
        return EXIT_AUTHENTICATION
    return EXIT_UNREACHABLE if code in UNREACHABLE else EXIT_FAILED
