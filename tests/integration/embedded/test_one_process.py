"""An ensemble that the embedded Triton runs as one model: the same answers and errors, one way to a process."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper
from tritonclient.grpc import service_pb2

from reflex.model_repository import model_file
from reflex_bench.loads import percentile, sequential
from reflex_bench.nonce_policy import write_nonce_policy
from reflex_frontend.embedded import EmbeddedOptions, EmbeddedTriton
from reflex_frontend.embedded.fusion import fuse, read_models
from reflex_frontend.embedded.layout import OWN_BACKENDS
from reflex_frontend.policy.policy import load_policy
from reflex_frontend.triton.channel import Channel, service_call
from reflex_frontend.triton.gateway import RawTensor, Target, TritonGateway
from reflex_frontend.triton.model_control import TritonModelControl
from reflex_frontend.triton.stages import StagedCall
from support.promise import Promise
from support.waiting import HANGS_S, eventually

COMPONENT = """
backend: "onnxruntime" max_batch_size: {rows}
input [{{ name: "{reads}" data_type: TYPE_{kind} dims: [1] }}]
output [{{ name: "{gives}" data_type: TYPE_FP32 dims: [1] }}]
instance_group [{{ kind: KIND_CPU count: 1 }}]
dynamic_batching {{ max_queue_delay_microseconds: 30000 }}
"""
ENSEMBLE = """
platform: "ensemble" max_batch_size: 1
input [{ name: "index" data_type: TYPE_INT64 dims: [1] }]
output [{ name: "picked" data_type: TYPE_FP32 dims: [1] }, { name: "sum" data_type: TYPE_FP32 dims: [1] }]
ensemble_scheduling { step [
  { model_name: "pick" model_version: 1 input_map { key: "i" value: "index" }
    output_map { key: "p" value: "picked" } },
  { model_name: "add" model_version: 1 input_map { key: "h" value: "picked" } output_map { key: "y" value: "sum" } }
] }
"""

Scenario = Callable[[EmbeddedTriton], Coroutine[Any, Any, None]]


def write_model(repository: Path, name: str, reads: str, gives: str, rows: int) -> None:
    """`pick` takes an element of (10, 11, 12) and fails beyond; every other one adds 10."""
    picks = name == "pick"
    kind, constant = (TensorProto.INT64, [10.0, 11.0, 12.0]) if picks else (TensorProto.FLOAT, [10.0])
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["c", reads], [gives])
            if picks
            else helper.make_node("Add", [reads, "c"], [gives])
        ],
        name,
        [helper.make_tensor_value_info(reads, kind, ["batch", 1])],
        [helper.make_tensor_value_info(gives, TensorProto.FLOAT, ["batch", 1])],
        [helper.make_tensor("c", TensorProto.FLOAT, [len(constant)], constant)],
    )
    (repository / name / "1").mkdir(parents=True)
    config = COMPONENT.format(reads=reads, gives=gives, rows=rows, kind="INT64" if picks else "FP32")
    (repository / name / "config.pbtxt").write_text(config)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, model_file(repository, name))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`whole`: an element of (10, 11, 12), and 10 more; and a policy that does no work."""
    folder = tmp_path_factory.mktemp("a space")
    write_model(folder, "pick", "i", "p", 4)
    write_model(folder, "add", "h", "y", 2)
    (folder / "whole" / "1").mkdir(parents=True)
    (folder / "whole" / "config.pbtxt").write_text(ENSEMBLE)
    write_nonce_policy(folder, "nonce")
    return folder


@pytest.fixture(scope="module")
def on_triton(repository: Path) -> Iterator[Callable[[Scenario], None]]:
    """Runs a scenario; all share one Triton, and the loop that its connections belong to."""
    models = ("whole", *load_policy(repository, "nonce").config.models)
    triton = EmbeddedTriton(EmbeddedOptions(model_repository=repository, models=models))
    with asyncio.Runner() as runner:
        runner.run(triton.start())
        try:
            for model in ("whole", "nonce"):
                runner.run(until_ready(triton, model))
            yield lambda scenario: runner.run(asyncio.wait_for(scenario(triton), 2 * HANGS_S))
        finally:
            runner.run(triton.stop())


@contextlib.asynccontextmanager
async def serving(repository: Path, model: str) -> AsyncIterator[EmbeddedTriton]:
    """A Triton that keeps ensembles."""
    options = EmbeddedOptions(model_repository=repository, models=(model,), keeps_ensembles=True)
    triton = EmbeddedTriton(options)
    await triton.start()
    try:
        await until_ready(triton, model)
        yield triton
    finally:
        await triton.stop()


async def until_ready(triton: EmbeddedTriton, model: str) -> None:
    gateway = TritonGateway(triton.grpc_address, model)
    await eventually(gateway.is_model_ready, f"{model} is ready")
    await gateway.close()


async def ask(triton: EmbeddedTriton, index: int, *outputs: str) -> dict[str, float]:
    gateway = TritonGateway(triton.grpc_address, "whole", outputs or ("sum",))
    given = await gateway.infer([RawTensor("index", "INT64", (1, 1), np.array([index], np.int64).tobytes())])
    return {name: float(value[0, 0]) for name, value in given.items()}


async def executions(triton: EmbeddedTriton, model: str) -> tuple[int, int]:
    """How often it ran, and of how many requests."""
    async with Channel(triton.grpc_address) as channel:
        asked = service_pb2.ModelStatisticsRequest(name=model)
        (told,) = (await service_call(channel, "ModelStatistics")(asked)).model_stats
    return told.execution_count, told.inference_count


def processes_by_model(triton: EmbeddedTriton) -> Counter[str]:
    """Of the models that have been there from the start: what other tests have loaded may be there too."""
    counted: Counter[str] = Counter()
    for process in psutil.Process(triton.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            files = (Path(word) for word in process.cmdline() if word.endswith("/1/model.onnx"))
            counted.update(
                file.parents[1].name for file in files if not file.parents[1].name.startswith(("late", "bad"))
            )
    return counted


def test_a_request_goes_to_one_process(on_triton: Callable[[Scenario], None]) -> None:
    async def scenario(triton: EmbeddedTriton) -> None:
        assert processes_by_model(triton) == {"whole": 1, "nonce": 2}  # Triton chooses how many of a policy
        gateway = TritonGateway(triton.grpc_address, "nonce")
        assert await gateway.instances_of(("nonce", "nonce_denoise", "whole")) == {"nonce": 2, "whole": 1}

    on_triton(scenario)


def test_what_is_asked_for_is_given_also_what_lies_between_two_models(on_triton: Callable[[Scenario], None]) -> None:
    async def scenario(triton: EmbeddedTriton) -> None:
        assert await ask(triton, 1) == {"sum": 21.0}
        assert await ask(triton, 2, "picked") == {"picked": 12.0}
        assert await ask(triton, 2, "sum", "picked") == {"sum": 22.0, "picked": 12.0}

    on_triton(scenario)


def test_requests_run_together_and_a_bad_one_fails_alone_with_the_name_of_the_model(
    on_triton: Callable[[Scenario], None],
) -> None:
    async def scenario(triton: EmbeddedTriton) -> None:
        ran, asked = await executions(triton, "whole")
        indices = (0, 1, 99, 2, 0, 1, 2)
        given = await asyncio.gather(*(ask(triton, index) for index in indices), return_exceptions=True)
        for index, answer in zip(indices, given, strict=True):
            if index == 99:
                assert isinstance(answer, Exception)
                assert "in ensemble 'whole', pick: ONNX Runtime: " in str(answer)
                assert "indices element out of data bounds" in str(answer)
            else:
                assert answer == {"sum": 20.0 + index}
        ran_now, asked_now = await executions(triton, "whole")
        assert ran_now - ran < len(indices)
        assert asked_now - asked >= len(indices) - 1

    on_triton(scenario)


def test_a_prefix_is_not_kept_where_the_models_cannot_be_asked_one_by_one(
    repository: Path, on_triton: Callable[[Scenario], None]
) -> None:
    """Another frontend of this user, which keeps prefixes, may use this Triton."""

    class Memory:
        def find(self, _observed: object) -> None:
            return None

        def is_worth_keeping(self) -> bool:
            return True

        def keep(self, _observed: object, prefix: object) -> None:
            assert prefix is None

    async def scenario(triton: EmbeddedTriton) -> None:
        policy = load_policy(repository, "nonce")
        assert policy.canary is not None
        assert policy.stages is not None
        gateway = TritonGateway(triton.grpc_address, "nonce")
        call = StagedCall(policy.stages, Memory())
        given = await call.ask(gateway, policy.canary.inputs)
        np.testing.assert_allclose(given["actions"][0], policy.canary.expected)
        call.remember()

    on_triton(scenario)


def test_what_comes_to_the_repository_later_is_loaded_as_one_also_for_another_frontend(
    repository: Path, on_triton: Callable[[Scenario], None]
) -> None:
    async def scenario(triton: EmbeddedTriton) -> None:
        write_nonce_policy(repository, "late")
        config = load_policy(repository, "late").config
        control = TritonModelControl(triton.grpc_address)  # which nobody told that this Triton is an embedded one

        async def is_seen() -> bool:
            return (Path(triton.grpc_address.removeprefix("unix:")).parent / "models" / "late").is_symlink()

        await eventually(is_seen, "the new policy is seen")
        await control.load("late", config.models)
        gateway = TritonGateway(triton.grpc_address, "late")
        assert await gateway.is_model_ready()
        with pytest.raises(Exception, match="unknown model"):
            await gateway.infer_raw(Target("late_denoise"), (), ("actions",))
        for model in config.models:
            await control.unload(model)
        assert not await gateway.is_model_ready()
        await control.close()

    on_triton(scenario)


def test_a_graph_that_cannot_be_loaded_is_named(repository: Path, on_triton: Callable[[Scenario], None]) -> None:
    async def scenario(triton: EmbeddedTriton) -> None:
        for part in ("", "_preprocess", "_encoder", "_denoise"):
            shutil.copytree(repository / f"nonce{part}", repository / f"bad{part}")
        config = repository / "bad" / "config.pbtxt"
        config.write_text(config.read_text().replace("nonce", "bad"))
        model_file(repository, "bad_encoder").write_bytes(b"no graph")
        control = TritonModelControl(triton.grpc_address, watch=triton)
        with pytest.raises(Exception, match=r"its model bad_encoder: .*cannot be loaded"):
            await control.load("bad", ("bad",))
        await control.close()

    on_triton(scenario)


@pytest.mark.timing
def test_one_process_is_quicker_than_three(
    repository: Path, on_triton: Callable[[Scenario], None], promise: Promise
) -> None:
    async def scenario(triton: EmbeddedTriton) -> None:
        async with serving(repository, "nonce") as kept:
            canary = load_policy(repository, "nonce").canary
            assert canary is not None
            one, three = (TritonGateway(each.grpc_address, "nonce") for each in (triton, kept))
            ratios = []
            for _ in range(24):  # a machine's moods last longer than a round
                took = [await sequential(partial(each.infer, canary.inputs), 12) for each in (one, three)]
                ratios.append(percentile(took[0], 0.5) / percentile(took[1], 0.5))
            ratio = percentile(ratios, 0.5)
            # `make bench ARGS=--crossings` asks for 0.6 where nothing else runs; here two more Tritons are up.
            promise("a policy in one process over one for each model", ratio, at_most=0.7, unit="x")

    on_triton(scenario)


def test_kept_ensembles_are_asked_model_by_model(repository: Path) -> None:
    async def scenario() -> None:
        async with serving(repository, "whole") as triton:
            assert await ask(triton, 1, "sum", "picked") == {"sum": 21.0, "picked": 11.0}
            with pytest.raises(Exception, match="in ensemble 'whole', ONNX Runtime"):
                await ask(triton, 99, "sum", "picked")
            gateway = TritonGateway(triton.grpc_address, "add", ("y",))
            given = await gateway.infer([RawTensor("h", "FP32", (1, 1), np.array([1], np.float32).tobytes())])
            assert float(given["y"][0, 0]) == 11.0

    asyncio.run(scenario())


def test_a_request_that_was_cancelled_is_dropped_between_two_models(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked only of requests that take long, of which there are none here: so without Triton."""
    monkeypatch.syspath_prepend(str(OWN_BACKENDS / "onnxruntime"))
    ensemble = importlib.import_module("reflex_ensemble")
    monkeypatch.setattr(ensemble, "IS_LONG_S", -1.0)
    told = json.loads(fuse(repository, read_models(repository))["whole"].steps)
    whole = ensemble.open_ensemble(told, [])
    asked: list[int] = []

    def is_cancelled(index: int) -> bool:
        asked.append(index)
        return index == 1 and len(asked) > 3  # after the first model

    feeds = [{"index": np.array([[index]], np.int64)} for index in range(3)]
    first, dropped, last = whole.run_all(feeds, frozenset({"sum"}), is_cancelled)
    assert (first["sum"], last["sum"]) == (20.0, 22.0)
    assert str(dropped) == "in ensemble 'whole', the request was cancelled"
