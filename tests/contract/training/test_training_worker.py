"""`reflex training worker` against a real control plane, with the stub trainer: what was queued ends registered."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reflex.control import ControlClient
from reflex.datasets.content_hash import content_hash
from reflex.processes.guardian import living
from reflex.training.request import TrainingRequest
from support.checkpoints.golden import golden_folder
from support.outside.control_plane import ControlProcess, StoreOf, prepared_store, running_control
from support.promise import Promise
from support.trainer.stub import dataset_in, stub_environment
from support.waiting import wait_until

CANCELLED_WITHIN_S = 5.0


@dataclass(frozen=True)
class Scene:
    control: ControlProcess
    client: ControlClient
    key: str

    def queued(self, folder: Path, **more: Any) -> str:
        """A run on a dataset of that folder."""
        dataset = dataset_in(folder)
        known = content_hash(dataset).value
        made = self.client.register_dataset(
            name=folder.name, place=str(dataset), content_hash=known, files=1, size_bytes=1
        )  # fmt: skip
        for state in ("validating", "valid"):
            self.client.note_dataset_validation(made["id"], content_hash=known, state=state, verdict={"errors": 0})
        request = TrainingRequest(dataset_id=made["id"], base="act", steps=100, save_every=50, **more)
        return self.client.start_training_run(request)["id"]

    def worker(self, folder: Path, how: dict[str, Any], *options: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ, "STUB_TRAINER": json.dumps(how), "REFLEX_API_KEY": self.key,
            "REFLEX_CONVEX_URL": self.control.base_url,
        }  # fmt: skip
        argv = [sys.executable, "-m", "reflex.cli", "training", "worker", "--data", str(folder / "data"),
                "--trainer", str(stub_environment(folder / "env")), "--repository", str(folder / "models")]  # fmt: skip
        return subprocess.Popen(
            [*argv, *options], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )  # fmt: skip

    def run(self, identity: str) -> dict[str, Any]:
        return {**self.client.get_training_run(identity)}


@pytest.fixture(scope="module")
def scene(store_of: StoreOf) -> Iterator[Scene]:
    with (
        prepared_store(store_of.folder, store_of.url) as (ours, _),
        running_control(store_of.folder, *store_of.options) as control,
        ControlClient(control.base_url, api_key=ours.admin().secret) as client,
    ):
        yield Scene(control, client, ours.admin().secret)


@contextmanager
def ended(worker: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield worker
    finally:
        worker.kill()
        worker.communicate()


def nothing_runs(folder: Path) -> bool:
    return living((folder / "data" / "worker.mark").read_text(), frozenset()) == []


@pytest.mark.slow
def test_a_run_is_trained_exported_verified_and_registered(scene: Scene, tmp_path: Path) -> None:
    identity = scene.queued(tmp_path, then=("export", "register"), name="reach")
    worker = scene.worker(tmp_path, {"golden": str(golden_folder("act"))}, "--once", "--json")
    out, err = worker.communicate()

    assert worker.returncode == 0, err
    told, run = json.loads(out), scene.run(identity)
    assert (told["state"], run["state"], run["step"]) == ("succeeded", "succeeded", 100)
    assert "reach" in [model["name"] for model in scene.client.list_models()["models"]]
    assert nothing_runs(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("deaf", [False, True])
def test_a_cancelled_run_leaves_no_process(scene: Scene, tmp_path: Path, promise: Promise, deaf: bool) -> None:
    """A trainer that ignores SIGTERM included, and its processes that read the dataset."""
    identity = scene.queued(tmp_path)
    with ended(scene.worker(tmp_path, {"step_s": 0.2, "deaf": deaf}, "--once")) as worker:
        wait_until(lambda: scene.run(identity)["step"] > 0, "it trains")
        assert not nothing_runs(tmp_path)
        began_s = time.monotonic()
        scene.client.cancel_training_run(identity)
        wait_until(lambda: nothing_runs(tmp_path) and scene.run(identity)["state"] == "cancelled", "it is cancelled")
        took_s = time.monotonic() - began_s
        worker.wait()

    promise("a run that is cancelled has ended within 5 s, and nothing of it runs", took_s, at_most=CANCELLED_WITHIN_S)


@pytest.mark.slow
def test_a_failed_run_says_why(scene: Scene, tmp_path: Path) -> None:
    identity = scene.queued(tmp_path)
    worker = scene.worker(tmp_path, {"fail_at": 60, "message": "no such camera"}, "--once")
    _, err = worker.communicate()

    assert worker.returncode == 1
    assert scene.run(identity)["state"] == "failed"
    assert "no such camera" in err


@pytest.mark.slow
def test_ctrl_c_leaves_the_run_to_the_queue(scene: Scene, tmp_path: Path) -> None:
    identity = scene.queued(tmp_path)
    with ended(scene.worker(tmp_path, {"step_s": 0.2})) as worker:
        wait_until(lambda: scene.run(identity)["step"] > 0, "it trains")
        worker.send_signal(signal.SIGINT)
        _, err = worker.communicate()

    assert worker.returncode == 130
    assert "goes back into the queue" in err
    assert nothing_runs(tmp_path)
    assert scene.run(identity)["state"] == "running"
