"""Cameras of a robot: each in a thread of its own, so that none ever makes the loop or another camera wait."""

from __future__ import annotations
