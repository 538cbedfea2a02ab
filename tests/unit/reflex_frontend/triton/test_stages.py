"""Which policies can be run model by model, and that this gives what their ensemble gives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from reflex_frontend.errors import TritonCallError
from reflex_frontend.policy.policy import find_repository, load_policy
from reflex_frontend.triton.gateway import RawTensor
from reflex_frontend.triton.stages import Prefix, StagedCall, Stages, read_stages
from support.motion.staged import StagedTriton, staged_config, stages_of

SHIPPED = find_repository(None)
PARTS = ("demo_preprocess", "demo_encoder", "demo_denoise")


def read(name: str) -> Any:
    model = model_config_pb2.ModelConfig()
    text_format.Parse((SHIPPED / name / "config.pbtxt").read_text(), model)
    return model


def stages(change: Callable[[Any, Mapping[str, Any]], object] = lambda _ensemble, _models: None) -> Stages | None:
    ensemble, models = read("demo"), {name: read(name) for name in PARTS}
    change(ensemble, models)
    return read_stages(ensemble, models)


def test_the_demo_policys_prefix_is_what_its_denoise_model_reads_of_the_encoder() -> None:
    found = load_policy(SHIPPED, "demo").stages
    assert found == stages()
    assert found is not None
    assert found.prefix == ("prefix_keys", "prefix_values", "prefix_mask")
    assert found.prefix_bytes == 2 * 4 * 3 * 2 * 53 * 16 + 53
    assert found.observed == {"image.image", "camera_mask", "state", "tokens", "token_mask"}
    assert [stage.target.model for stage in (*found.before, found.last)] == list(PARTS)
    assert {stage.target.version for stage in (*found.before, found.last)} == {"1"}


@pytest.mark.parametrize(
    ("kind", "each"), [("BOOL", 1), ("UINT8", 1), ("FP16", 2), ("BF16", 2), ("FP32", 4), ("INT32", 4), ("INT64", 8)]
)
def test_the_prefix_takes_what_its_type_takes(kind: str, each: int) -> None:
    def retype(_ensemble: Any, models: Mapping[str, Any]) -> None:
        for tensor in (*models["demo_encoder"].output, *models["demo_denoise"].input):
            if tensor.name in ("prefix_keys", "prefix_values"):
                tensor.data_type = model_config_pb2.DataType.Value(f"TYPE_{kind}")

    found = stages(retype)
    assert found is not None
    assert found.prefix_bytes == 2 * each * 3 * 2 * 53 * 16 + 53


def test_an_axis_of_any_length_counts_as_one_at_least() -> None:
    def free(_ensemble: Any, models: Mapping[str, Any]) -> None:
        for tensor in models["demo_encoder"].output:
            tensor.dims[-2 if len(tensor.dims) > 1 else 0] = -1

    found = stages(free)
    assert found is not None
    assert found.prefix_bytes == 2 * 4 * 3 * 2 * 16 + 1


def test_an_ensemble_that_takes_the_newest_version_has_each_model_asked_for_that() -> None:
    def newest(ensemble: Any, _models: Mapping[str, Any]) -> None:
        ensemble.ensemble_scheduling.step[1].model_version = -1

    found = stages(newest)
    assert found is not None
    assert [stage.target.version for stage in (*found.before, found.last)] == ["1", "", "1"]


def rename(ensemble: Any, _models: Mapping[str, Any]) -> None:
    ensemble.ensemble_scheduling.step[1].output_map["prefix_keys"] = "other_keys"


def swap(ensemble: Any, _models: Mapping[str, Any]) -> None:
    ensemble.ensemble_scheduling.step[0].model_name = "demo_denoise"


def no_batch(_ensemble: Any, models: Mapping[str, Any]) -> None:
    models["demo_encoder"].max_batch_size = 0


def one_step_less(ensemble: Any, _models: Mapping[str, Any]) -> None:
    del ensemble.ensemble_scheduling.step[0]


def nothing_in_common(_ensemble: Any, models: Mapping[str, Any]) -> None:
    del models["demo_denoise"].input[:3]


@pytest.mark.parametrize("change", [rename, swap, no_batch, one_step_less, nothing_in_common])
def test_an_ensemble_that_is_no_plain_chain_is_left_whole(change: Callable[[Any, Mapping[str, Any]], object]) -> None:
    assert stages(change) is None


@dataclass
class Remembered:
    """A memory of one prefix that does as it is told."""

    prefix: Prefix | None = None
    is_wanted: bool = True
    kept: list[tuple[Sequence[RawTensor], Prefix | None]] = field(default_factory=list)

    def find(self, observed: Sequence[RawTensor]) -> Prefix | None:
        assert observed
        return self.prefix

    def is_worth_keeping(self) -> bool:
        return self.is_wanted

    def keep(self, observed: Sequence[RawTensor], prefix: Prefix | None) -> None:
        self.kept.append((observed, prefix))


def observation(seed: int = 0) -> list[RawTensor]:
    random = np.random.RandomState(seed)
    shapes = {"image.base": (1, 4, 4, 3), "camera_mask": (1, 1), "state": (1, 6), "tokens": (1, 6)}
    shapes |= {"token_mask": (1, 6), "noise": (1, 4, 7)}
    return [RawTensor(name, "FP32", shape, random.standard_normal(shape).tobytes()) for name, shape in shapes.items()]


def asked(triton: StagedTriton, memory: Remembered, seed: int = 0) -> tuple[bytes, StagedCall]:
    call = StagedCall(stages_of(triton.config), memory)
    actions = asyncio.run(call.ask(triton, observation(seed), (("traceparent", "t"),)))["actions"]
    call.remember()
    return actions.tobytes(), call


def test_model_by_model_and_from_a_kept_prefix_gives_what_the_ensemble_gives() -> None:
    triton = StagedTriton(config=staged_config())
    whole, plain = asked(triton, Remembered(is_wanted=False))
    assert (triton.ran, plain.is_hit) == ({"ensemble": 1}, False)

    memory = Remembered()
    by_model, missed = asked(triton, memory)
    assert (triton.ran, missed.is_hit) == ({"ensemble": 1, "preprocess": 1, "encoder": 1, "denoise": 1}, False)

    ((observed, prefix),) = memory.kept
    assert [tensor.name for tensor in observed] == ["image.base", "camera_mask", "state", "tokens", "token_mask"]
    full = Remembered(prefix)
    kept, hit = asked(triton, full)
    assert not full.kept, "it is there"
    assert (triton.ran["encoder"], triton.ran["denoise"], hit.is_hit) == (1, 2, True)
    assert whole == by_model == kept
    assert set(triton.metadata) == {(("traceparent", "t"),)}, "every call belongs to the request's trace"


def test_of_what_ran_as_a_whole_the_observation_is_remembered_alone() -> None:
    memory = Remembered(is_wanted=False)
    asked(StagedTriton(), memory)
    assert [prefix for _, prefix in memory.kept] == [None]


def test_a_failure_in_the_middle_is_the_calls_and_the_next_try_begins_anew() -> None:
    triton, memory = StagedTriton(), Remembered()
    call = StagedCall(stages_of(triton.config), memory)
    triton.fails_next = TritonCallError("lost", "gone")
    with pytest.raises(TritonCallError):
        asyncio.run(call.ask(triton, observation()))
    assert not memory.kept
    asyncio.run(call.ask(triton, observation()))
    assert triton.ran == {"preprocess": 2, "encoder": 1, "denoise": 1}
