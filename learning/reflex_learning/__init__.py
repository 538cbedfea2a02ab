"""What lies between a recording and a better policy: datasets, read and held to rules."""

from __future__ import annotations
