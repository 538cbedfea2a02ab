"""Under whose leave the robot is driven: a session of the control plane, and the mode that is the strictest of all."""

from __future__ import annotations
