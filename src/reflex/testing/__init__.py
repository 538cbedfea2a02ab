"""For the tests of those who build on Reflex: `connector_contract` holds a robot of their own to its contract."""

from __future__ import annotations
