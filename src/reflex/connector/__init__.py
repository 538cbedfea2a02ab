"""What stands between Reflex and a robot: the five methods of a connector, and what they hand over."""

from __future__ import annotations

from reflex.connector.contract import ActionChunk, CameraFrame, Connector, Observation

__all__ = ["ActionChunk", "CameraFrame", "Connector", "Observation"]
