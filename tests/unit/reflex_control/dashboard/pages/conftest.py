"""The scene of the tests of training, looked at by a browser that is signed in."""

from __future__ import annotations

from unit.reflex_control.training.conftest import scene

__all__ = ["scene"]
