"""What may be wrong with a dataset that one asks about, or with a training.

SetupError
├── DatasetError     a folder, or a file of it, that cannot be read as a dataset; says which, and what to do
└── TrainingError    a run that this worker cannot begin, or an environment in which it cannot train
"""

from __future__ import annotations

from reflex.errors import SetupError

__all__ = ["DatasetError", "TrainingError"]


class DatasetError(SetupError):
    """A folder, or a file of it, cannot be read as a LeRobot dataset."""

    code = "dataset"


class TrainingError(SetupError):
    """A run cannot be trained as it was asked for, or not by this worker."""

    code = "training"
