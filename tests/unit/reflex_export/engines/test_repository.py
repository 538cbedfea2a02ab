"""Which plan is served, and what is said of it, when engines are built one after the other or are shared."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from reflex.device_parity import DeviceParityConfig
from reflex.model_repository import CONFIG_FILE, TRITON_CONFIG_FILE
from reflex.policy_config import PolicyConfig, read_policy_config
from reflex_export.engines import repository as engines
from reflex_export.engines.errors import EngineError
from reflex_export.engines.profile import Profile
from reflex_export.engines.record import BuildOptions, EngineManifest, EngineRecord, LayerPrecision
from reflex_export.errors import ParityError
from support.checkpoints.measured import measured_on

DEMO: Final = Path(__file__).parents[4] / "model_repository"
PARTS: Final = ("demo", "demo_preprocess", "demo_encoder", "demo_denoise")


class Builder:
    """In TensorRT's place: one plan for each kind of engine and version, from its cache as from a build."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.version = "10.16"

    def build(self, _path: Path, _profile: Profile, options: BuildOptions, **_: object) -> EngineRecord:
        content = f"{options.engine} {self.version}".encode()
        plan = self.folder / f"{options.engine}-{self.version}.plan"
        plan.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        types = LayerPrecision({}, {}, {}, ())
        manifest = EngineManifest(
            "key", self.version, "sm90", "0" * 64, digest, len(content), 1.0, options, {}, types
        )  # fmt: skip
        return EngineRecord(plan, manifest, cached=True)


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builder:
    builder = Builder(tmp_path)
    monkeypatch.setattr(engines, "build_engine", builder.build)
    return builder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in PARTS:
        shutil.copytree(DEMO / name, tmp_path / "models" / name)
    return tmp_path / "models"


@pytest.fixture
def two_policies(repository: Path) -> Path:
    """As one export with two step counts: `demo-4steps` runs demo's preprocess and encoder."""
    for part in ("", "_denoise"):
        text = shutil.copytree(repository / f"demo{part}", repository / f"demo-4steps{part}") / TRITON_CONFIG_FILE
        names = {f'"demo{part}"': f'"demo-4steps{part}"', '"demo_denoise"': '"demo-4steps_denoise"'}
        for before, after in names.items():
            text.write_text(text.read_text().replace(before, after))
    shared = {role: f"demo_{role}" for role in ("preprocess", "encoder")}
    second = read_policy_config(repository / "demo").model_copy(
        update={"policy_id": "demo-4steps", "components": shared, "parity": {"verdict": "passed"}}
    )
    (repository / "demo-4steps" / CONFIG_FILE).write_text(second.model_dump_json())
    return repository


def measure_on(device: str) -> engines.Measure:
    def measure(_folder: Path, config: PolicyConfig, _plans: object, engine: Any) -> DeviceParityConfig:
        return measured_on(device, export_id=config.export_id, engine=engine)

    return measure


def contents_of(repository: Path) -> dict[str, bytes]:
    return {str(path.relative_to(repository)): path.read_bytes() for path in repository.rglob("*") if path.is_file()}


def said_of(repository: Path, policy: str = "demo") -> list[tuple[str, str]]:
    """Engine and device of what was measured."""
    return [(one.engine, one.device) for one in read_policy_config(repository / policy).device_parity]


@pytest.mark.usefixtures("builder")
@pytest.mark.parametrize(("engine", "activate"), [("tensorrt-rtx", None), ("tensorrt", False)])
def test_engines_that_will_not_be_served_take_no_served_plans_place(
    repository: Path, engine: Any, activate: bool | None
) -> None:
    engines.build_repository(repository, None, "tensorrt", measure=measure_on("H200"))
    before = contents_of(repository)

    with pytest.raises(EngineError, match=r"serve demo_encoder from its model\.plan.*--engine tensorrt .*--replace"):
        engines.build_repository(repository, None, engine, activate=activate)

    assert contents_of(repository) == before


@pytest.mark.usefixtures("builder")
def test_a_plan_that_was_served_under_the_old_name_of_its_backend_is_not_replaced_either(repository: Path) -> None:
    config = repository / "demo_denoise" / TRITON_CONFIG_FILE
    config.write_text(config.read_text().replace('backend: "onnxruntime"', 'platform: "tensorrt_plan"'))

    with pytest.raises(EngineError, match="serve demo_denoise"):
        engines.build_repository(repository, "demo", "tensorrt-rtx")


@pytest.mark.usefixtures("builder")
def test_beside_onnx_that_is_served_engines_replace_each_other(repository: Path) -> None:
    for engine in ("tensorrt", "tensorrt-rtx"):
        engines.build_repository(repository, "demo", engine, activate=False)

    assert (repository / "demo_denoise" / "1" / "model.plan").read_bytes() == b"tensorrt-rtx 10.16"
    assert 'backend: "onnxruntime"' in (repository / "demo_denoise" / TRITON_CONFIG_FILE).read_text()


def test_what_was_measured_of_a_plan_goes_with_it(repository: Path, builder: Builder) -> None:
    written = read_policy_config(repository / "demo")
    of_onnx = measured_on("H200", export_id=written.export_id)
    described = written.model_copy(update={"device_parity": (of_onnx,)}).model_dump_json()
    (repository / "demo" / CONFIG_FILE).write_text(described)
    engines.build_repository(repository, "demo", "tensorrt", measure=measure_on("H200"))

    engines.build_repository(repository, "demo", "tensorrt")
    assert said_of(repository) == [("onnx", "H200"), ("tensorrt", "H200")]  # the plans are the same

    builder.version = "10.17"
    engines.build_repository(repository, "demo", "tensorrt")
    assert said_of(repository) == [("onnx", "H200")]


def test_a_new_plan_is_measured_where_it_was_built_and_nowhere_else(repository: Path, builder: Builder) -> None:
    engines.build_repository(repository, "demo", "tensorrt", measure=measure_on("H200"))
    builder.version = "10.17"
    engines.build_repository(repository, "demo", "tensorrt", measure=measure_on("L40S"))

    assert said_of(repository) == [("tensorrt", "L40S")]


@pytest.mark.usefixtures("builder")
def test_another_kind_of_engine_that_is_served_has_no_figures_of_the_first(repository: Path) -> None:
    engines.build_repository(repository, "demo", "tensorrt", measure=measure_on("H200"))
    engines.build_repository(repository, "demo", "tensorrt-rtx", activate=True)
    engines.build_repository(repository, "demo", "tensorrt")

    assert said_of(repository) == []


@pytest.mark.usefixtures("builder")
@pytest.mark.parametrize("policy", ["demo", "demo-4steps", None])
def test_who_shares_an_encoder_is_built_and_measured_with_it(two_policies: Path, policy: str | None) -> None:
    built = engines.build_repository(two_policies, policy, "tensorrt", measure=measure_on("H200"))

    assert {each.policy for each in built} == {"demo", "demo-4steps"}
    for name in ("demo", "demo-4steps"):
        config = read_policy_config(two_policies / name)
        assert (config.engine, config.parity, said_of(two_policies, name)) == ("tensorrt", None, [("tensorrt", "H200")])
    assert len(list(two_policies.glob("*/1/model.plan"))) == 3


@pytest.mark.usefixtures("builder")
def test_where_one_of_several_policies_misses_its_gate_nothing_is_published(two_policies: Path) -> None:
    before = contents_of(two_policies)

    def measure(_folder: Path, config: PolicyConfig, *_: object) -> DeviceParityConfig:
        if config.policy_id == "demo-4steps":
            raise ParityError("the engines of demo-4steps differ. Nothing was published")
        return measured_on("H200", export_id=config.export_id, engine="tensorrt")

    for policy in ("demo", None):
        with pytest.raises(ParityError):
            engines.build_repository(two_policies, policy, "tensorrt", measure=measure)

    assert contents_of(two_policies) == before


def test_both_policies_lose_what_was_measured_of_a_shared_plan(two_policies: Path, builder: Builder) -> None:
    engines.build_repository(two_policies, None, "tensorrt", measure=measure_on("H200"))
    builder.version = "10.17"
    engines.build_repository(two_policies, None, "tensorrt")

    assert said_of(two_policies) == said_of(two_policies, "demo-4steps") == []


@pytest.mark.usefixtures("builder")
def test_engines_that_are_not_served_are_built_for_the_named_policy_alone(two_policies: Path) -> None:
    built = engines.build_repository(two_policies, "demo", "tensorrt-rtx")

    assert [each.policy for each in built] == ["demo"]
    assert not (two_policies / "demo-4steps_denoise" / "1" / "model.plan").exists()
