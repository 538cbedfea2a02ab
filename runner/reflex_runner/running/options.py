"""`RunOptions`: what is said of one run beside its `robot.yaml`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from reflex.connector.marks import EpisodeMarks
from reflex_runner.config.sections import Mode, RobotConfig
from reflex_runner.motion.descent import StopCause
from reflex_runner.session.strictest import strictest
from reflex_runner.tick import Listener

__all__ = ["RunOptions", "Say", "with_options"]

Say = Callable[[str], None]
"""Tells the operator one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """None is what is not said."""

    mode: Mode | None = None
    """It can be stricter than the file's, never less strict."""
    max_steps: int | None = None
    records: bool = True
    api_key: str | None = field(default=None, repr=False)
    """Of the control plane, or of a server without sessions."""
    convex_url: str | None = None
    """The control plane."""
    consent: Callable[[StopCause], bool] | None = None
    """Asks the operator whether the run goes on after a stop."""
    say: Say = lambda _line: None
    view: bool = False
    """Show the run on a page of this computer, and film it into its recording."""
    replay: Path | None = None
    """A recording, whose commands are executed again; no server is asked."""
    episodes: EpisodeMarks | None = None
    """Says where episodes begin and end; None: the run is one."""
    listeners: tuple[Listener, ...] = ()


def with_options(config: RobotConfig, options: RunOptions) -> RobotConfig:
    """The settings that count for this run."""
    session = replace(config.session, mode=strictest(config.session.mode, options.mode))
    if options.max_steps is not None:
        session = replace(session, max_steps=options.max_steps)
    recording = config.recording if options.records else config.recording.off()
    return replace(config, session=session, recording=recording)
