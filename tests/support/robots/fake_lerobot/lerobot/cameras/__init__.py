"""Cameras: this one has none."""
