"""Datasets: registered by the hash of their content, and validated before somebody trains on them."""

from __future__ import annotations

import importlib
from os import PathLike
from pathlib import Path

from reflex.control import training_asks as asks
from reflex.control.dataset_validation import register_folder, validate_registered
from reflex.control.opening import open_client
from reflex.control.training_objects import Dataset, Datasets
from reflex.errors import SetupError
from reflex.sdk.asking import answer
from reflex.wording.install import install_line

__all__ = ["get_dataset", "list_datasets", "register_dataset", "validate_dataset"]


def register_dataset(
    path: str | PathLike[str],
    *,
    place: str | None = None,
    name: str | None = None,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Dataset:
    """Hash a dataset's files and register it; `place` is where workers find it, by default the folder itself."""
    with open_client(api_key, convex_url=convex_url, backend_url=backend_url) as client:
        return register_folder(client, Path(path), place=place, name=name)


def validate_dataset(
    dataset_id: str,
    *,
    folder: str | PathLike[str] | None = None,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Dataset:
    """Hold a registered dataset to the rules, here, and tell the control plane what they found."""
    try:
        validating = importlib.import_module("reflex_learning.validation.validating")
    except ModuleNotFoundError as exc:
        raise SetupError(f"this needs the package {exc.name}; run: {install_line('datasets')}") from exc
    home = None if folder is None else Path(folder)
    with open_client(api_key, convex_url=convex_url, backend_url=backend_url) as client:
        told, _ = validate_registered(client, dataset_id, validating.validate, folder=home)
        return told


def list_datasets(
    *,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Datasets:
    """Every registered dataset, as `{"datasets": [...]}`."""
    return answer(asks.list_datasets(), api_key, convex_url, backend_url)


def get_dataset(
    dataset_id: str,
    *,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Dataset:
    """One dataset: its state, and what its validation found."""
    return answer(asks.get_dataset(dataset_id), api_key, convex_url, backend_url)
