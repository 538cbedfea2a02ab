"""A real control plane and real workers with the stub trainer; what is killed is started again."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from reflex.control import ControlClient
from reflex.datasets.content_hash import content_hash
from reflex.training.request import TrainingRequest
from reflex.training.states import ENDED, WORKED_ON
from support.checkpoints.golden import golden_folder
from support.outside.control_plane import ControlProcess, prepared_store, running_control
from support.server import free_port
from support.trainer.stub import dataset_in, stub_environment
from support.waiting import let_pass

__all__ = ["MACHINES", "STEPS", "Lab", "log_of", "weight"]

MACHINES: Final = ("a", "b", "c")
STEPS: Final = 200
EXPORTS_EVERY: Final = 4
"""Of so many runs one is exported and registered, too."""
STUB: Final = {"step_s": 0.02, "golden": str(golden_folder("act")), "golden_for": "exported"}


@dataclass
class Lab:
    """`opened` ends all of it."""

    folder: Path
    opened: ExitStack
    chance: random.Random
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    requests: dict[str, TrainingRequest] = field(default_factory=dict)
    """By the ids of the runs."""

    def __post_init__(self) -> None:
        self.port = free_port()
        with prepared_store(self.data) as (ours, _):
            self.key = ours.admin().secret
        self._of_control = self.opened.enter_context(ExitStack())
        self.control = self.start_control()
        self.client = self.opened.enter_context(ControlClient(self.control.base_url, api_key=self.key, deadline_s=60.0))
        self.dataset_id = self._registered()
        for machine in MACHINES:
            self.start_worker(machine)
        self.opened.callback(self._end_workers)

    @property
    def data(self) -> Path:
        return self.folder / "control"

    def start_control(self) -> ControlProcess:
        self._of_control.close()
        module = "support.trainer.kills.short_leases"
        running = running_control(self.data, "--rate-limit", "1000000", port=self.port, module=module)
        self.control = self._of_control.enter_context(running)
        return self.control

    def start_worker(self, machine: str) -> None:
        home = self.folder / machine
        environment = {
            **os.environ, "STUB_TRAINER": json.dumps(STUB), "REFLEX_API_KEY": self.key,
            "REFLEX_CONVEX_URL": self.control.base_url,
        }  # fmt: skip
        argv = [sys.executable, "-m", "reflex.cli", "training", "worker", "--data", str(home), "--name", machine,
                "--trainer", str(stub_environment(self.folder / "env"))]  # fmt: skip
        home.mkdir(exist_ok=True)
        with (home / "worker.log").open("ab") as log:
            self.workers[machine] = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)

    def run(self, run_id: str) -> dict[str, Any]:
        return {**self.client.get_training_run(run_id)}

    def under_way(self) -> list[str]:
        """Runs that a worker has."""
        return [run_id for run_id in self.requests if self.run(run_id)["state"] in WORKED_ON]

    def keep_busy(self) -> None:
        """One run waits at least while all machines have one."""
        while sum(self.run(run_id)["state"] not in ENDED for run_id in self.requests) <= len(MACHINES):
            self.start_run()

    def start_run(self) -> None:
        """Asked for twice, with the request id that makes it one."""
        number = len(self.requests)
        is_exported = number % EXPORTS_EVERY == 0
        request = TrainingRequest(
            dataset_id=self.dataset_id, base="act", steps=STEPS, save_every=50, seed=number,
            then=("export", "register") if is_exported else (), name=f"exported-{number}" if is_exported else None,
        )  # fmt: skip
        for _ in range(2):
            made = self.client.start_training_run(request, request_id=f"run-{number}")
            self.requests[made["id"]] = request

    def trainers(self) -> dict[str, psutil.Process]:
        """Every trainer that runs now, by its run."""
        found = {}
        for process in psutil.process_iter():
            if (output := _output_of(process)) is not None and output.is_relative_to(self.folder):
                found[output.parent.name] = process
        return found

    def kill_trainer(self) -> str:
        """Its run; another trainer where one has ended in this very instant."""
        while True:
            trainers = self.trainers()
            for run_id in self.chance.sample(sorted(trainers), min(len(trainers), 1)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    trainers[run_id].kill()
                    return run_id

    def weights(self, run_id: str) -> list[bytes]:
        """Of the run's last checkpoint, on whichever machines there is one."""
        files = self.folder.glob(f"?/runs/{run_id}/training/checkpoints/*{STEPS}/pretrained_model/model.safetensors")
        return [file.read_bytes()[-8:] for file in files]

    def rest(self, most_s: float) -> None:
        let_pass(self.chance.uniform(0.0, most_s))

    def _registered(self) -> str:
        dataset = dataset_in(self.folder)
        known = content_hash(dataset)
        made = self.client.register_dataset(
            name="cubes", place=str(dataset), content_hash=known.value, files=1, size_bytes=known.size_bytes
        )
        for state in ("validating", "valid"):
            self.client.note_dataset_validation(
                made["id"], content_hash=known.value, state=state, verdict={"errors": 0}
            )  # fmt: skip
        return made["id"]

    def _end_workers(self) -> None:
        for worker in self.workers.values():
            worker.terminate()
        for worker in self.workers.values():
            worker.wait()


def _output_of(process: psutil.Process) -> Path | None:
    """Where a trainer writes; None for any other process."""
    try:
        words = process.cmdline()
    except psutil.Error:
        return None
    if not any(word.endswith("training/launcher.py") for word in words):
        return None
    return next((Path(word.removeprefix("--output_dir=")) for word in words if word.startswith("--output_dir=")), None)


def weight(request: TrainingRequest) -> bytes:
    """Of the last step of a run that was left alone, as the stub writes it."""
    found = request.seed
    for step in range(1, request.steps + 1):
        found = (31 * found + request.seed + step) % 1_000_003
    return found.to_bytes(8, "little")


def log_of(lab: Lab, run_id: str) -> list[dict[str, Any]]:
    """All lines that are kept, with their numbers."""
    from reflex.control.following import log_lines

    return [{**line} for line in itertools.islice(log_lines(lab.client, run_id), 100_000)]
