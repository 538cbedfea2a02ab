"""A dataset is read once, heard of as it is read, and read again when somebody wrote to it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from reflex.training.request import TrainingRequest
from reflex_learning.errors import TrainingError
from reflex_learning.training.registered import RegisteredDataset
from support.trainer.stub import claimed, dataset_in


def registered(folder: Path) -> RegisteredDataset:
    return RegisteredDataset(claimed(TrainingRequest(dataset_id="data_1", base="act"), dataset_in(folder)))


def test_it_is_read_once_and_the_lease_is_kept_meanwhile(tmp_path: Path) -> None:
    dataset, heard = registered(tmp_path), list[int]()

    assert dataset.require(lambda: heard.append(1))
    assert heard
    assert not dataset.require()


def test_a_file_that_was_touched_is_read_again_and_is_the_same(tmp_path: Path) -> None:
    dataset = registered(tmp_path)
    dataset.require()
    os.utime(tmp_path / "dataset" / "meta" / "info.json", ns=(1, 1))

    assert dataset.require()


def test_a_changed_one_says_what_to_do(tmp_path: Path) -> None:
    dataset = registered(tmp_path)
    dataset.require()
    (tmp_path / "dataset" / "meta" / "info.json").write_text("{}")

    with pytest.raises(
        TrainingError, match=r"`reflex datasets register .*dataset` and `reflex datasets validate data_1"
    ):
        dataset.require()


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    dataset = registered(tmp_path)
    (tmp_path / "dataset" / "meta" / "info.json").unlink()

    with pytest.raises(TrainingError, match="has no meta"):
        dataset.require()


def test_what_lies_on_the_hub_is_the_trainers_to_fetch(tmp_path: Path) -> None:
    assert not RegisteredDataset(replace(registered(tmp_path).run, dataset_path="lab/cubes")).require()
