"""A simulated arm on a table with a cube: the interface of a real SO-101, without one."""

from __future__ import annotations
