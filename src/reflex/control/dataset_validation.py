"""Registering and validating a dataset, here, and telling the control plane what came of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from reflex.control.blocking import ControlClient
from reflex.control.training_objects import Dataset
from reflex.datasets.content_hash import content_hash, looks_of
from reflex.errors import ReflexError, SetupError
from reflex.training.states import DatasetState

__all__ = ["Judged", "register_folder", "validate_registered"]

Told = Callable[[int, int], None]


class Judged(Protocol):
    """What a validator says of a dataset."""

    @property
    def is_valid(self) -> bool: ...

    def told(self) -> dict[str, Any]: ...


JudgedT = TypeVar("JudgedT", bound=Judged)


def register_folder(
    client: ControlClient, folder: Path, *, place: str | None = None, name: str | None = None, tell: Told | None = None
) -> Dataset:
    """Hash the folder, and register it. Workers find it at `place`, by default the folder's absolute path."""
    found = content_hash(folder, tell)
    home = folder.resolve()
    return client.register_dataset(
        name=name or home.name, place=place or str(home), content_hash=found.value, files=found.files,
        size_bytes=found.size_bytes,
    )  # fmt: skip


def validate_registered(
    client: ControlClient,
    dataset_id: str,
    judge: Callable[[Path], JudgedT],
    *,
    folder: Path | None = None,
    tell: Told | None = None,
    found: Callable[[JudgedT], object] = lambda _: None,
) -> tuple[Dataset, JudgedT]:
    """Hash the dataset, judge it, and tell the verdict on this very content; one that is not told is given up.

    `found` hears of the verdict before it is told: it may have taken an hour.
    """
    home = folder or Path(client.get_dataset(dataset_id)["place"])
    if not home.is_dir():
        raise SetupError(f"the dataset does not lie at {home} on this machine; say where its folder is with --folder")
    content = content_hash(home, tell)
    client.note_dataset_validation(dataset_id, content_hash=content.value, state="validating")
    with _given_up(client, dataset_id, content.value):
        judged = judge(home)
        if looks_of(home) != content.looks:
            raise SetupError(f"{home} changed while it was validated; wait until nothing writes to it, and try again")
        found(judged)
        state: DatasetState = "valid" if judged.is_valid else "invalid"
        verdict = _verdict(judged.told())
        told = client.note_dataset_validation(dataset_id, content_hash=content.value, state=state, verdict=verdict)
    return told, judged


@contextlib.contextmanager
def _given_up(client: ControlClient, dataset_id: str, value: str) -> Iterator[None]:
    """Whatever ends it, Ctrl-C too: nobody is left to wait for a verdict that does not come."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(ReflexError):
            client.note_dataset_validation(dataset_id, content_hash=value, state="registered")
        raise


def _verdict(told: Mapping[str, Any]) -> dict[str, Any]:
    """Without the findings, which may be many: whoever wants them validates again."""
    counts = {name: told[name] for name in ("errors", "warnings", "episodes", "frames", "pictures")}
    rules = [rule for rule in told["rules"] if rule["state"] == "failed"]
    return {**counts, "failed": [{name: rule[name] for name in ("id", "severity", "count")} for rule in rules]}
