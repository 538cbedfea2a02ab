"""What may be wrong with a dataset that one asks about.

SetupError
└── DatasetError    a folder, or a file of it, that cannot be read as a dataset; says which, and what to do
"""

from __future__ import annotations

from reflex.errors import SetupError

__all__ = ["DatasetError"]


class DatasetError(SetupError):
    """A folder, or a file of it, cannot be read as a LeRobot dataset."""

    code = "dataset"
