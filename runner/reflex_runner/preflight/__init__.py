"""Before a run: whether settings, machine, robot, server and session fit each other. Nothing moves for it."""

from __future__ import annotations
