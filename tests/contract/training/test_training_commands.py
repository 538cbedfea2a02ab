"""`reflex datasets register | validate` and `reflex training`, as they are typed, against a real control plane."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import reflex
from docs.documents import REPOSITORY, blocks_of
from reflex.cli import app
from reflex.control import ControlClient
from reflex.control.run_queue import HttpRunQueue
from reflex.training.port import ClaimedRun, Ending, Metric, Progress, WorkerFacts
from support.datasets.defects import DEFECTS
from support.datasets.drafts import healthy
from support.datasets.writing import make
from support.outside.control_plane import prepared_store, running_control

WORKER = WorkerFacts(worker_id="worker_1", name="gpu box", families=("act",))
NEVER = "data_none"


@dataclass(frozen=True)
class Scene:
    client: ControlClient
    environment: dict[str, str]
    dataset: Path

    def typed(self, *words: str) -> Result:
        return CliRunner().invoke(app, [*words], env=self.environment)

    def printed(self, *words: str) -> str:
        done = self.typed(*words)
        assert done.exit_code == 0, done.output
        return done.stdout.strip()

    def valid(self) -> str:
        dataset_id = self.printed("datasets", "register", str(self.dataset))
        self.printed("datasets", "validate", dataset_id)
        return dataset_id

    def started(self, *options: str) -> str:
        return self.printed("training", "start", self.valid(), "--base", "act", "--steps", "100", *options)

    def claimed(self) -> tuple[HttpRunQueue, ClaimedRun]:
        queue = HttpRunQueue(self.client)
        claim = queue.claim(WORKER)
        assert claim is not None
        return queue, claim


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("control")
    dataset = make(healthy("image", (31, 32)), folder / "cubes")
    with prepared_store(folder / "data") as (ours, _), running_control(folder / "data") as control:
        key = ours.admin().secret
        environment = {"REFLEX_API_KEY": key, "REFLEX_CONVEX_URL": control.base_url, "COLUMNS": "200"}
        with ControlClient(control.base_url, api_key=key) as client:
            yield Scene(client, environment, dataset)


@pytest.fixture(autouse=True)
def nothing_waits(scene: Scene) -> Iterator[None]:
    yield
    for run in scene.client.list_training_runs(all=True, state="queued")["runs"]:
        scene.client.cancel_training_run(run["id"])


def test_a_dataset_is_registered_validated_and_trained_on(scene: Scene) -> None:
    dataset_id = scene.valid()
    known = scene.client.get_dataset(dataset_id)
    assert (known["state"], known["place"], known["name"]) == ("valid", str(scene.dataset.resolve()), "cubes")
    assert (known["verdict"] or {})["frames"] == 63
    assert dataset_id in scene.printed("datasets", "registered")

    done = scene.typed("training", "start", dataset_id, "--base", "act")
    assert done.exit_code == 0
    assert "queued at position 1; next: reflex training logs run_" in done.stderr


@pytest.mark.slow
def test_a_dataset_that_is_not_fit_is_invalid_and_is_not_trained_on(scene: Scene, tmp_path: Path) -> None:
    root = DEFECTS["video-frames"].make(tmp_path / "dataset")
    dataset_id = scene.printed("datasets", "register", str(root), "--place", "lab/broken", "--name", "broken")
    done = scene.typed("datasets", "validate", dataset_id, "--folder", str(root))

    assert (done.exit_code, scene.client.get_dataset(dataset_id)["state"]) == (1, "invalid")
    refused = scene.typed("training", "start", dataset_id, "--base", "act")
    assert refused.exit_code == 5
    assert "Training rejects an unvalidated dataset. Run reflex datasets validate" in refused.stderr


def test_a_registered_dataset_that_lies_elsewhere_wants_its_folder(scene: Scene) -> None:
    dataset_id = scene.printed("datasets", "register", str(scene.dataset), "--place", "lab/cubes")
    done = scene.typed("datasets", "validate", dataset_id)
    assert done.exit_code == 1
    assert "--folder" in done.stderr


@pytest.mark.slow
def test_a_changed_dataset_is_validated_anew(scene: Scene, tmp_path: Path) -> None:
    root = make(healthy("image", (31, 32)), tmp_path / "changing")
    dataset_id = scene.printed("datasets", "register", str(root))
    scene.printed("datasets", "validate", dataset_id)
    before = scene.client.get_dataset(dataset_id)["contentHash"]
    (root / "meta/info.json").write_text((root / "meta/info.json").read_text() + "\n")

    assert scene.printed("datasets", "register", str(root)) == dataset_id
    assert scene.client.get_dataset(dataset_id)["state"] == "registered"
    scene.printed("datasets", "validate", dataset_id)
    after = scene.client.get_dataset(dataset_id)
    assert (after["state"], after["contentHash"] == before) == ("valid", False)


def test_a_validation_that_is_interrupted_is_given_up(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    from reflex_learning.validation import validating

    def interrupted(*_given: object) -> None:
        raise KeyboardInterrupt

    dataset_id = scene.valid()
    monkeypatch.setattr(validating, "validate", interrupted)
    assert scene.typed("datasets", "validate", dataset_id).exit_code == 130
    assert scene.client.get_dataset(dataset_id)["state"] == "registered"


def test_bounds_are_named_and_nothing_is_queued(scene: Scene) -> None:
    done = scene.typed("training", "start", NEVER, "--base", "gpt", "--steps", "0", "--lora-rank", "7", "--json")
    told = json.loads(done.stdout)

    assert (done.exit_code, told["error"], len(told["problems"])) == (1, "invalid_value", 4)
    assert scene.client.list_training_runs(all=True, state="queued")["runs"] == []


@pytest.mark.slow
def test_the_same_request_id_is_the_same_run_and_the_queue_is_shown(scene: Scene) -> None:
    first = scene.started("--request-id", "cubes-1", "--then", "export,register", "--name", "pick")
    assert scene.started("--request-id", "cubes-1", "--then", "export,register", "--name", "pick") == first
    second = scene.started()

    rows = [line.split()[:3] for line in scene.printed("training", "list", "--all", "--state", "queued").splitlines()]
    assert rows == [[first, "queued", "1"], [second, "queued", "2"]]
    assert "position 2" in scene.printed("training", "show", second)
    assert scene.printed("training", "cancel", first, "--reason", "wrong").split()[1] == "cancelled"
    assert json.loads(scene.printed("training", "show", second, "--json"))["position"] == 1


def test_logs_are_followed_live_and_the_end_is_waited_for(scene: Scene) -> None:
    run_id = scene.started()
    queue, claim = scene.claimed()
    heard: list[Any] = []
    lines = reflex.training_run_logs(
        run_id, follow=True, api_key=scene.environment["REFLEX_API_KEY"],
        convex_url=scene.environment["REFLEX_CONVEX_URL"],
    )  # fmt: skip
    listener = threading.Thread(target=lambda: heard.extend(lines), daemon=True)
    queue.beat(claim.run_id, claim.lease_id, Progress(state="running", step=1, log=("first\x1b[2J",)))
    listener.start()
    progress = Progress(state="running", step=50, log=("second",), first_line=1, metrics=(Metric(step=50, loss=0.5),))
    queue.beat(claim.run_id, claim.lease_id, progress)
    assert "newest    step 50, loss 0.5" in scene.printed("training", "show", run_id)
    queue.end(claim.run_id, claim.lease_id, Ending(state="failed", reason="out of memory", steps=50, log=("last",),
                                                   first_line=2))  # fmt: skip
    listener.join(60)

    assert heard == ["first\\x1b[2J", "second", "last"]
    assert scene.printed("training", "logs", run_id, "--follow").splitlines() == heard
    told = [json.loads(line) for line in scene.printed("training", "logs", run_id, "--json").splitlines()]
    assert [line["number"] for line in told] == [0, 1, 2]
    done = scene.typed("training", "wait", run_id)
    assert (done.exit_code, done.stdout.strip()) == (1, f"{run_id} failed: out of memory")


@pytest.mark.slow
def test_waiting_has_a_bound_and_a_run_that_succeeded_ends_with_0(scene: Scene) -> None:
    run_id = scene.started()
    queue, claim = scene.claimed()
    late = scene.typed("training", "wait", run_id, "--timeout", "0")
    assert "it goes on" in late.stderr
    assert late.exit_code != 0
    queue.end(claim.run_id, claim.lease_id, Ending(state="succeeded", reason="trained", steps=100))
    assert scene.printed("training", "wait", run_id) == f"{run_id} succeeded: trained"


@pytest.mark.parametrize("words", [("datasets", "registered"), ("training", "list"), ("training", "logs", "run_1")])
def test_without_a_key_it_is_said_how_to_get_one(scene: Scene, tmp_path: Path, words: tuple[str, ...]) -> None:
    nothing: dict[str, str | None] = {"REFLEX_API_KEY": None, "REFLEX_CONFIG_DIR": str(tmp_path)}
    done = CliRunner().invoke(app, [*words], env={**scene.environment, **nothing})
    assert done.exit_code == 3
    assert "reflex login" in done.stderr


def test_the_same_from_python(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REFLEX_API_KEY", "REFLEX_CONVEX_URL"):
        monkeypatch.setenv(name, scene.environment[name])
    dataset = reflex.validate_dataset(reflex.register_dataset(scene.dataset)["id"])
    run = reflex.start_training_run(dataset_id=dataset["id"], base="act", steps=100, request_id="python")

    assert dataset["state"] == "valid"
    assert dataset in reflex.list_datasets()["datasets"]
    assert reflex.get_training_run(run["id"]) == run
    assert run["id"] in [each["id"] for each in reflex.list_training_runs(all=True)["runs"]]
    reflex.cancel_training_run(run["id"], reason="a try")
    assert reflex.wait_for_training_run(run["id"])["reason"] == "a try"
    assert list(reflex.training_run_logs(run["id"])) == []


def test_the_page_s_python_runs(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its request id is that of a run which has ended by then, so nothing is waited for."""
    for name in ("REFLEX_API_KEY", "REFLEX_CONVEX_URL"):
        monkeypatch.setenv(name, scene.environment[name])
    [block] = [block.code for block in blocks_of(REPOSITORY / "docs/training.md") if block.language == "python"]
    dataset_id = scene.valid()
    run = reflex.start_training_run(dataset_id=dataset_id, base="act", steps=3000, request_id="cubes-1-of-the-page")
    queue, claim = scene.claimed()
    queue.end(claim.run_id, claim.lease_id, Ending(state="succeeded", reason="trained", steps=3000))

    exec(block.replace("data_abc123", dataset_id).replace("cubes-1", "cubes-1-of-the-page"), {})
    assert claim.run_id == run["id"]
    assert capsys.readouterr().out == "succeeded\n"
