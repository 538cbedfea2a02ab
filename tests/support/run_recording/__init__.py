"""What a recorder is told of a run, and the programs that are killed while they record."""

from __future__ import annotations
