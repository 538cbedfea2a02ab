"""What happened in a run, written down beside it: JSONL, pictures, MCAP, LeRobot v3, Rerun. Nothing waits for it."""

from __future__ import annotations
