"""LeRobot datasets of version 3.0 as who writes them and who reads them both know them: names, sizes, statistics."""

from __future__ import annotations
