"""Of several modes the one that allows the least."""

from __future__ import annotations

from reflex_runner.config.sections import Mode

__all__ = ["strictest"]


def strictest(*modes: Mode | None) -> Mode:
    """apply_actions only where nobody says otherwise; who says nothing (None) does not count."""
    said = [mode for mode in modes if mode is not None]
    return "apply_actions" if said and all(mode == "apply_actions" for mode in said) else "dry_run"
