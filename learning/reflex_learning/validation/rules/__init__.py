"""The rules, by what they look at."""

from __future__ import annotations
