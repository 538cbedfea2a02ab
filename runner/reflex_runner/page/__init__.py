"""What a run looks like while it goes on: a page on this computer alone, and a film."""

from __future__ import annotations
