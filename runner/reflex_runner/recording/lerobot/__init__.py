"""LeRobot datasets of version 3.0, by pyarrow and PyAV: every episode has files of its own, named when whole."""

from __future__ import annotations
