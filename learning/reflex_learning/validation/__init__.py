"""Rules for a dataset: each says what must hold, looks, and names episode, frame and file where it does not."""

from __future__ import annotations
