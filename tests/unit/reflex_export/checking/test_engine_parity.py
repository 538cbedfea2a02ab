"""What an engine answers on the GPU is held against its ONNX before anybody is served by it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reflex.errors import RepositoryError
from reflex.gpus import Serving
from reflex.model_repository import CONFIG_FILE, model_file
from reflex.policy_config import PolicyConfig, read_policy_config
from reflex.readiness.precision_proof import precision_proof, proof_in_words
from reflex_export.checking.engine_parity import compare_engines, measure_engines
from reflex_export.checking.parity import PolicyRunner
from reflex_export.checking.serving_device import ServingDevice
from reflex_export.engines import repository as engines
from reflex_export.engines.record import BuildOptions, EngineManifest, EngineRecord, LayerPrecision
from reflex_export.errors import ParityError
from reflex_export.graph.graph import Array
from support.checkpoints.measured import measured_on

CARD = ServingDevice("Card of this test", compute_capability="9.0", driver="580", runtime={"tensorrt": "10.16.0"})


class Engine:
    """The ONNX of a model, whose chunk is off by `by`."""

    def __init__(self, path: Path, by: float = 0.0) -> None:
        self._runner, self._by = PolicyRunner([path]), by

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        answers = self._runner.run(inputs)
        if "actions_normalized" in answers:
            answers["actions_normalized"] = answers["actions_normalized"] + np.float32(self._by)
        return answers


def compared(repository: Path, config: PolicyConfig, by: float) -> Any:
    names = (config.component("encoder"), config.component("denoise"))
    runners = {name: Engine(model_file(repository, name), by) for name in names}
    return compare_engines(repository, config, runners, CARD, "tensorrt")


def test_engines_that_answer_as_their_onnx_does_are_proven_on_that_device(
    demo_repository: Path, demo: PolicyConfig
) -> None:
    measured = compared(demo_repository, demo, 0.0)

    assert (measured.verdict, measured.engine, measured.device) == ("passed", "tensorrt", CARD.name)
    assert len(measured.cases) == 4
    built = demo.model_copy(update={"engine": "tensorrt", "device_parity": (measured,)})
    proof = precision_proof(built, Serving(CARD.name, "cuda"))
    assert proof is not None
    assert proof_in_words(proof).startswith("measured on Card of this test, which serves: ")


def test_engines_that_miss_are_refused_with_what_can_be_done(demo_repository: Path, demo: PolicyConfig) -> None:
    wanted = r"the engines of demo differ .* on Card of this test .*--precision fp32"
    with pytest.raises(ParityError, match=wanted) as told:
        compared(demo_repository, demo, 2e-4)

    # What an export says of an arithmetic whose engines miss.
    figure = "its engines 2.0e-04 from the ONNX on the CPU on Card of this test, at most 1.0e-04 (the gate) is trusted"
    assert told.value.figure == figure


def test_a_policy_without_a_canary_cannot_be_measured(demo_repository: Path, demo: PolicyConfig) -> None:
    assert measure_engines(demo_repository, demo.model_copy(update={"canary": None}), {}, "tensorrt") is None


def test_engines_for_other_machines_are_not_measured_on_this_one(demo_repository: Path, demo: PolicyConfig) -> None:
    assert measure_engines(demo_repository, demo, {"demo_encoder": Path("absent.plan")}, "tensorrt-rtx") is None


def test_a_canary_that_is_gone_is_named(demo_repository: Path, demo: PolicyConfig, tmp_path: Path) -> None:
    repository = Path(shutil.copytree(demo_repository, tmp_path / "models"))
    (repository / "demo" / "canary.npz").unlink()

    with pytest.raises(RepositoryError, match=r"canary\.npz is no canary of demo"):
        compared(repository, demo, 0.0)


@pytest.fixture
def repository(demo_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, in which a build of engines takes no TensorRT."""
    plan = tmp_path / "some.plan"
    plan.write_bytes(b"plan")

    def build(*_: object, **__: object) -> EngineRecord:
        types = LayerPrecision({}, {}, {}, ())
        manifest = EngineManifest(
            "key", "10.16.0", "sm90/Card", "0" * 64, "0" * 64, 4, 1.0, BuildOptions("tensorrt"), {}, types
        )
        return EngineRecord(plan, manifest, cached=True)

    monkeypatch.setattr(engines, "build_engine", build)
    return Path(shutil.copytree(demo_repository, tmp_path / "models"))


def test_a_build_writes_what_it_measured_and_keeps_what_was_measured_of_the_onnx(repository: Path) -> None:
    config = read_policy_config(repository / "demo")
    before = measured_on("Card of this test", export_id=config.export_id)
    written = config.model_copy(update={"device_parity": (before,)})
    (repository / "demo" / CONFIG_FILE).write_text(written.model_dump_json())
    asked = []

    def measure(folder: Path, asked_of: PolicyConfig, plans: Mapping[str, Path], engine: Any) -> Any:
        asked.append((folder, asked_of.policy_id, sorted(plans), engine))
        return before.model_copy(update={"engine": engine, "max_abs": 3e-3})

    for _ in range(2):
        engines.build_repository(repository, "demo", "tensorrt", measure=measure)

    found = read_policy_config(repository / "demo").device_parity
    assert asked == [(repository, "demo", ["demo_denoise", "demo_encoder"], "tensorrt")] * 2
    assert [(one.engine, one.max_abs) for one in found] == [("onnx", before.max_abs), ("tensorrt", 3e-3)]


def test_a_build_whose_engines_miss_publishes_nothing(repository: Path) -> None:
    before = (repository / "demo" / CONFIG_FILE).read_bytes()

    def measure(*_: object) -> Any:
        raise ParityError("the engines of demo differ")

    with pytest.raises(ParityError):
        engines.build_repository(repository, "demo", "tensorrt", measure=measure)

    assert (repository / "demo" / CONFIG_FILE).read_bytes() == before
    assert not list(repository.glob("*/1/*.plan"))


def test_engines_that_do_not_become_active_are_not_measured(repository: Path) -> None:
    def measure(*_: object) -> Any:
        raise AssertionError("nothing of it is served")

    engines.build_repository(repository, "demo", "tensorrt", activate=False, measure=measure)

    assert list(repository.glob("demo_denoise/1/*.plan"))
