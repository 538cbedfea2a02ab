"""A policy's success in closed loop: the same seeds for every policy, with intervals, pairs and ablations."""

from __future__ import annotations
