"""Datasets of others, read: every size is bounded, no link leads out, and what is broken is a `DatasetError`."""

from __future__ import annotations
