from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from reflex.errors import SetupError
from reflex_export.engines.cache import PLAN_FILE, EngineCache
from reflex_export.engines.errors import EngineError
from reflex_export.engines.profile import ShapeRange
from reflex_export.engines.record import BuildOptions, EngineManifest, LayerPrecision, read_manifest

KEY = "a" * 64


def nobody_waits(_holder: str) -> None:
    raise AssertionError("waited for a lock that nobody holds")


def manifest(plan_bytes: int) -> EngineManifest:
    return EngineManifest(
        key=KEY,
        version="1.0",
        target="sm89/NVIDIA L4",
        onnx_sha256="b" * 64,
        plan_sha256="c" * 64,
        plan_bytes=plan_bytes,
        build_s=1.5,
        options=BuildOptions("tensorrt", targets=("SM89",)),
        profile={"x": ShapeRange((1, 8), (1, 8), (4, 8))},
        precision=LayerPrecision({"fp16": 2}, {"fp16": 1}, {"fp16": 64}, ("norm",)),
    )


def publish(cache: EngineCache, plan: bytes) -> None:
    with cache.building(KEY, nobody_waits) as (folder, _):
        (folder / PLAN_FILE).write_bytes(plan)
        cache.publish(manifest(len(plan)))


def test_a_manifest_survives_its_file() -> None:
    assert read_manifest(manifest(4).to_json()) == manifest(4)


def test_a_published_engine_is_found(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)

    publish(cache, b"plan")

    found = cache.find(KEY)
    assert found is not None
    assert (found.plan.read_bytes(), found.manifest, found.cached) == (b"plan", manifest(4), True)


def test_what_a_killed_build_left_is_no_engine_and_is_built_over(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    left = tmp_path / f".{KEY}.partial"
    left.mkdir(parents=True)
    (left / PLAN_FILE).write_bytes(b"half")
    (left / "manifest.json").write_bytes(manifest(4).to_json())

    assert cache.find(KEY) is None
    with cache.building(KEY, nobody_waits) as (folder, _):
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("damage", ["shorter plan", "no plan", "no manifest", "other manifest"])
def test_an_engine_that_is_not_whole_is_not_found_and_is_replaced(tmp_path: Path, damage: str) -> None:
    cache = EngineCache(tmp_path)
    publish(cache, b"plan")
    entry = tmp_path / KEY
    match damage:
        case "shorter plan":
            (entry / PLAN_FILE).write_bytes(b"pl")
        case "no plan":
            (entry / PLAN_FILE).unlink()
        case "no manifest":
            (entry / "manifest.json").unlink()
        case "other manifest":
            (entry / "manifest.json").write_text("{}")

    assert cache.find(KEY) is None
    publish(cache, b"new plan")
    found = cache.find(KEY)
    assert found is not None
    assert found.plan.read_bytes() == b"new plan"


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)

    def build() -> None:
        with cache.building(KEY, nobody_waits) as (folder, _):
            (folder / PLAN_FILE).write_bytes(b"half")
            raise EngineError("it failed")

    with pytest.raises(EngineError, match="it failed"):
        build()

    assert [path.name for path in tmp_path.iterdir()] == ["locks"]


def test_a_held_lock_is_waited_for_and_then_named(tmp_path: Path) -> None:
    cache, waited = EngineCache(tmp_path), list[str]()
    me = f"another build (process {os.getpid()})"

    with (
        cache.building(KEY, nobody_waits),
        pytest.raises(EngineError, match=rf"^{re.escape(me)} has held .*\.lock for 0 s; end it and build again"),
        cache.building(KEY, waited.append, timeout_s=0.0),
    ):
        raise AssertionError("two hold the lock")

    assert waited == [me]


def test_a_folder_that_cannot_be_made_is_a_setup_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(SetupError, match="choose a folder by --cache"),
        EngineCache(tmp_path / "file").building(KEY, nobody_waits),
    ):
        pass
