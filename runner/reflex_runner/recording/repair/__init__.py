"""What a killed run left, made whole or taken away. Doing it twice, or being killed while at it, does no harm."""

from __future__ import annotations
