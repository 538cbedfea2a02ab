"""A dataset made whole in a new folder: what sums it up is written anew, what is broken left out, nothing invented."""

from __future__ import annotations
