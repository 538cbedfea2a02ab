"""An SO-101: six STS3215 servos on one serial bus, spoken to without anybody's SDK."""

from __future__ import annotations
