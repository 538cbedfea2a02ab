"""`SessionPermit`: what the control loop asks every period, where the run is a session."""

from __future__ import annotations

from typing import Protocol

from reflex_runner.config.sections import Mode

__all__ = ["SessionPermit", "why_not"]


class Standing(Protocol):
    """A `RobotSession`."""

    @property
    def session_id(self) -> str: ...

    @property
    def mode(self) -> Mode: ...

    @property
    def over(self) -> str | None: ...


class SessionPermit:
    """Answers from what the session knows already."""

    def __init__(self, session: Standing) -> None:
        self._session = session

    def refusal(self, now: float) -> str | None:  # noqa: ARG002 - the session has its own clock, which is the same
        """Why nothing more may be applied; None: go on."""
        return why_not(self._session)


def why_not(session: Standing) -> str | None:
    """In the words of the documents."""
    if session.over is not None:
        return f"Session expired or already closed ({session.over}). Start a fresh session."
    if session.mode == "dry_run":
        return (
            f"Session is still in dry_run: promote it with 'reflex sessions promote {session.session_id} --to "
            "apply_actions'."
        )
    return None
