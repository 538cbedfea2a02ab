"""The formats of a recording, each a small writer behind one interface."""

from __future__ import annotations
