"""Datasets, known by the hash of their content: what is trained on one was validated first, to the last byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, insert, select, update

from reflex.datasets.content_hash import CONTENT_HASH
from reflex.errors import ServiceError, service_error
from reflex.signed.moments import iso_of
from reflex.training.states import DatasetState
from reflex_control.identity.ids import new_id
from reflex_control.moments import iso_or_none
from reflex_control.plane import Writing
from reflex_control.receipting import Facts
from reflex_control.registry.finding import find
from reflex_control.store.tables import dataset, training_run
from reflex_control.training.runs import end_run

__all__ = ["NewDataset", "Validation", "dataset_as_json", "note_validation", "register_dataset"]

RECEIPT_OF: Final[Mapping[DatasetState, str]] = {"valid": "dataset_validated", "invalid": "dataset_found_invalid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDataset:
    """What is told of a dataset. `place` is where a worker finds it: a folder, or a hub id."""

    name: str
    place: str
    content_hash: str
    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """How the validation of one content goes. `registered` gives a validation up that had begun."""

    content_hash: str
    state: DatasetState
    verdict: Mapping[str, Any] | None = None


def register_dataset(writing: Writing, new: NewDataset) -> dict[str, Any]:
    """Write it down; the same place is the same dataset, and with another content it is unvalidated again."""
    check_hash(new.content_hash)
    owner = writing.actor.organisation_id
    same = select(dataset).where(dataset.c.organisation_id == owner, dataset.c.place == new.place)
    found = writing.connection.execute(same).one_or_none()
    if found is None:
        return dataset_as_json(_added(writing, new))
    if found.content_hash == new.content_hash:
        return dataset_as_json(found)
    changed = {"files": new.files, "size_bytes": new.size_bytes}
    return dataset_as_json(_begun_anew(writing, found, new.content_hash, **changed))


def note_validation(writing: Writing, dataset_id: str, told: Validation) -> dict[str, Any]:
    """`ServiceError` 409 for the verdict on another content than the dataset has by now.

    Who gives a validation up may not have heard that its verdict was taken: that one stays.
    """
    check_hash(told.content_hash)
    found = find(writing.connection, dataset, writing.actor.organisation_id, dataset_id, what="dataset")
    if told.content_hash != found.content_hash:
        if told.state != "validating":
            raise _overtaken(found)
        found = _begun_anew(writing, found, told.content_hash)
    elif told.state == "registered" and found.state != "validating":
        return dataset_as_json(found)
    is_over = told.state in RECEIPT_OF
    values: dict[str, Any] = {"state": told.state, "verdict": dict(told.verdict or {}) if is_over else None}
    row = _changed(writing, found, **values, validated_at=writing.now_ms if is_over else None)
    if told.state == "invalid":
        _fail_what_waits(writing, row, f"its dataset {row.id} was found invalid; mend it, and start another run")
    if is_over:
        writing.receipt(RECEIPT_OF[told.state], Facts(reason=f"{row.id} {row.content_hash}: {row.name}"))
    return dataset_as_json(row)


def check_hash(given: str) -> None:
    """`ServiceError` 422."""
    if not CONTENT_HASH.fullmatch(given):
        words = "contentHash is sha256: and 64 hexadecimal digits, as 'reflex datasets register' computes it"
        raise service_error("invalid_value", words, context={"field": "contentHash"})


def _added(writing: Writing, new: NewDataset) -> Row[Any]:
    identity, owner = new_id("data"), writing.actor.organisation_id
    writing.connection.execute(
        insert(dataset).values(
            id=identity, organisation_id=owner, name=new.name, place=new.place, content_hash=new.content_hash,
            state="registered", files=new.files, size_bytes=new.size_bytes, created_at=writing.now_ms,
            changed_at=writing.now_ms,
        )
    )  # fmt: skip
    made = find(writing.connection, dataset, owner, identity, what="dataset")
    writing.receipt("dataset_registered", Facts(reason=f"{identity} {new.content_hash}: {new.name}"))
    _tell(writing, made)
    return made


def _begun_anew(writing: Writing, found: Row[Any], content_hash: str, **values: int) -> Row[Any]:
    """Another content: nobody has validated it, and what waited for the old one has nothing to be trained on."""
    row = _changed(writing, found, content_hash=content_hash, state="registered", verdict=None, validated_at=None,
                   changed_at=writing.now_ms, **values)  # fmt: skip
    writing.receipt("dataset_changed", Facts(reason=f"{row.id} {content_hash}: {row.name}"))
    _fail_what_waits(writing, row, f"its dataset {row.id} has changed; validate it, and start another run")
    return row


def _fail_what_waits(writing: Writing, row: Row[Any], reason: str) -> None:
    waiting = select(training_run).where(training_run.c.dataset_id == row.id, training_run.c.state == "queued")
    for run in writing.connection.execute(waiting).all():
        end_run(writing, run, "failed", reason)


def _changed(writing: Writing, found: Row[Any], **values: Any) -> Row[Any]:  # noqa: ANN401 - columns
    changing = update(dataset).where(dataset.c.id == found.id).values(**values).returning(dataset)
    row = writing.connection.execute(changing).one()
    _tell(writing, row)
    return row


def _tell(writing: Writing, row: Row[Any]) -> None:
    writing.tell("dataset", {"datasetId": row.id, "state": row.state, "contentHash": row.content_hash})


def _overtaken(found: Row[Any]) -> ServiceError:
    return service_error(
        "wrong_state", f"the dataset has changed since; validate it again: reflex datasets validate {found.id}",
        context={"datasetId": found.id, "contentHash": found.content_hash},
    )  # fmt: skip


def dataset_as_json(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "place": row.place,
        "contentHash": row.content_hash,
        "state": row.state,
        "verdict": row.verdict,
        "files": row.files,
        "sizeBytes": row.size_bytes,
        "createdAt": iso_of(row.created_at),
        "changedAt": iso_of(row.changed_at),
        "validatedAt": iso_or_none(row.validated_at),
    }
