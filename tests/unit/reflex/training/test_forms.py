"""What is said between worker, queue and store comes back as it was."""

from __future__ import annotations

import json

import pytest

from reflex.training.forms import as_json, claim_from_json, request_from_json
from reflex.training.port import ClaimedRun, Ending, Exported, Metric, Progress, WorkerFacts
from reflex.training.request import LoraOptions, TrainingRequest

SMALL = TrainingRequest(dataset_id="data_1", base="act")
WHOLE = TrainingRequest(
    dataset_id="data_1", base="model:a/b", method="lora_finetune", steps=100, batch_size=2, seed=3, save_every=50,
    warmup_steps=10, dtype="bfloat16", learning_rate=1e-4, lora=LoraOptions(rank=4, alpha=2, dropout=0.1),
    then=("export", "register"), name="pick",
)  # fmt: skip


@pytest.mark.parametrize("request_", [SMALL, WHOLE])
def test_a_request_comes_back_as_it_was(request_: TrainingRequest) -> None:
    assert request_from_json(json.loads(json.dumps(as_json(request_)))) == request_


def test_names_are_those_of_the_wire_and_what_is_not_given_is_not_said() -> None:
    told = as_json(SMALL)
    assert (told["datasetId"], told["batchSize"], told["then"]) == ("data_1", 8, [])
    assert "lora" not in told


def test_a_claim_comes_back_as_it_was() -> None:
    claim = ClaimedRun(run_id="run_1", lease_id="lease_1", lease_seconds=60.0, request=WHOLE, dataset_path="cubes",
                       dataset_hash="sha256:0", attempt=2, next_line=7)  # fmt: skip
    told = {
        "runId": "run_1", "leaseId": "lease_1", "leaseSeconds": 60.0, "request": as_json(WHOLE),
        "datasetPath": "cubes", "datasetHash": "sha256:0", "attempt": 2, "nextLine": 7,
    }  # fmt: skip
    assert claim_from_json(told) == claim


def test_progress_and_ending_keep_the_names_that_are_somebody_elses() -> None:
    progress = Progress(state="running", step=3, metrics=(Metric(step=3, loss=0.5, others={"l1_loss": 0.5}),))
    ending = Ending(state="succeeded", reason="done", steps=3,
                    exported=Exported(policy="p", model_hash="h", repository="r", parity={"max_abs": 0.0}))  # fmt: skip

    assert as_json(progress)["metrics"] == [{"step": 3, "loss": 0.5, "others": {"l1_loss": 0.5}}]
    assert as_json(ending)["exported"]["parity"] == {"max_abs": 0.0}
    assert as_json(WorkerFacts(worker_id="w", name="n", families=("act",)))["families"] == ["act"]
