"""PEFT adapters (LoRA, DoRA): found beside or without whole weights, and merged into their base model while it is read.

An adapter is refused by name when merging it could go wrong in silence: when it is unknown which base model is meant,
or when it is of a method that is not merged here.
"""

from __future__ import annotations

from reflex_export.reading.adapters.merging import MergedTensors
from reflex_export.reading.adapters.place import AdapterPlace, AdapterUse, find_adapter, settings_folder
from reflex_export.reading.adapters.weights import merged_adapter, policy_weights

__all__ = [
    "AdapterPlace",
    "AdapterUse",
    "MergedTensors",
    "find_adapter",
    "merged_adapter",
    "policy_weights",
    "settings_folder",
]
