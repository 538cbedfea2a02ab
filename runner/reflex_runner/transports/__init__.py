"""Who is asked for actions, and how: over HTTP, over a stream, or in openpi's protocol."""

from __future__ import annotations
