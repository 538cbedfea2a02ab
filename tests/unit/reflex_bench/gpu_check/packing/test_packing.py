"""A pack is whole, runs where only Python and its packages are, and says what is missing where something is."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from reflex.gpus.libraries import library_folders
from reflex_bench.gpu_check.packing import __main__ as packing
from reflex_bench.gpu_check.packing import run_packed
from reflex_bench.gpu_check.packing.wheels import PackError, wanted
from support.waiting import HANGS_S

PIECE_BYTES = 4_000_000


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, wheels = tmp_path_factory.mktemp("pack") / "pack", tmp_path_factory.mktemp("wheels")
    packing.pack(folder, wheels, "3.12", PIECE_BYTES)
    return folder


def ran(packed: Path, into: Path, *arguments: str, machine: str = "") -> subprocess.CompletedProcess[str]:
    """run.py from an empty folder, as somebody would who has only the pack; `machine` has packages too."""
    into.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": machine}
    command = [sys.executable, str(packed / "run.py"), "--into", str(into / "unpacked"), *arguments]
    return subprocess.run(
        command, cwd=into, env=environment, capture_output=True, text=True, timeout=HANGS_S, check=False
    )


def test_a_pack_unpacks_into_an_empty_folder_and_runs_the_check_there(packed: Path, tmp_path: Path) -> None:
    cublas = tmp_path / "site-packages/nvidia/cu13/lib/libcublas.so.13"
    cublas.parent.mkdir(parents=True)
    cublas.touch()
    asked = ("--small", "--only", "ceilings", "--seconds", "2000", "--output", "gpu.json")
    done = ran(packed, tmp_path / "there", *asked, machine=str(tmp_path / "site-packages"))

    assert done.returncode == 0, done.stderr
    [site] = (tmp_path / "there/unpacked/venv").glob("lib/python3*/site-packages")
    assert (library_folders(site)[0] / cublas.name).samefile(cublas)
    written = json.loads((tmp_path / "there" / "gpu.json").read_text())
    assert written["commit"] == json.loads((packed / "MANIFEST.json").read_text())["commit"]
    assert written["stages"][1]["rows"][0]["keys"]["ceiling"] == "copy"


def test_a_folder_that_holds_something_else_is_left_alone(packed: Path, tmp_path: Path) -> None:
    (kept := tmp_path / "there" / "unpacked" / "mine").mkdir(parents=True)
    done = ran(packed, tmp_path / "there")

    assert done.returncode == 1
    assert "holds something else; name an empty folder with --into" in done.stderr
    with pytest.raises(PackError, match="--output"):
        packing.pack(kept.parent, tmp_path, "3.12", PIECE_BYTES)
    assert kept.is_dir()


def test_a_wheel_is_installed_with_its_data_and_its_programs_can_be_run(tmp_path: Path) -> None:
    wheel = tmp_path / "thing-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        program = zipfile.ZipInfo("thing/server")
        program.external_attr = 0o100755 << 16
        archive.writestr(program, "#!/bin/sh")
        archive.writestr("thing/__init__.py", "")
        archive.writestr("thing-1.data/purelib/thing/late.py", "late = 1")

    run_packed.install(wheel, tmp_path / "site")

    assert os.access(tmp_path / "site/thing/server", os.X_OK)
    assert not os.access(tmp_path / "site/thing/__init__.py", os.X_OK)
    assert (tmp_path / "site/thing/late.py").read_text() == "late = 1"
    assert sorted(path.name for path in (tmp_path / "site").iterdir()) == ["thing"]
    assert not wheel.exists()


@pytest.mark.parametrize("has_filter", [True, False])
def test_a_python_without_filters_of_archives_unpacks_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_filter: bool
) -> None:
    """3.11.0 to 3.11.3 know no such argument."""
    given: list[dict[str, object]] = []

    class Archive(tarfile.TarFile):
        def extractall(self, *_: object, **options: object) -> None:
            given.append(options)

    if not has_filter:
        monkeypatch.delattr(tarfile, "data_filter")
    with Archive.open(fileobj=io.BytesIO(), mode="w") as archive:
        run_packed.extract(archive, tmp_path)

    assert given == [{"filter": "data"} if has_filter else {}]


def test_cuda_of_the_machines_pytorch_is_found_beside_the_packed_onnxruntime(tmp_path: Path) -> None:
    site, first, second = (tmp_path / name for name in ("site", "first", "second"))
    for library in (
        site / "nvidia/ours/lib/libours.so",
        first / "nvidia/cu13/lib/libcublas.so.13",
        second / "nvidia/cu13/lib/libother.so",
        second / "nvidia/cudnn/lib/libcudnn.so.9",
        second / "nvidia/ours/lib/libtheirs.so",
    ):
        library.parent.mkdir(parents=True)
        library.touch()
    (first / "nvidia/__init__.py").touch()
    before = sorted(second.rglob("*"))

    run_packed.link_libraries(site, [str(tmp_path / "none"), str(first), str(second)])

    cuda, cudnn = library_folders(site)[:2]
    assert [path.name for path in (*cuda.iterdir(), *cudnn.iterdir())] == ["libcublas.so.13", "libcudnn.so.9"]
    assert [path.name for path in (site / "nvidia/ours/lib").iterdir()] == ["libours.so"]
    assert sorted(path.name for path in (site / "nvidia").iterdir()) == ["cu13", "cudnn", "ours"]
    assert sorted(second.rglob("*")) == before


def test_no_piece_is_larger_than_asked_for(packed: Path) -> None:
    sizes = [path.stat().st_size for path in sorted(packed.glob("piece-*"))]

    assert len(sizes) > 2
    assert set(sizes[:-1]) == {PIECE_BYTES}
    assert 0 < sizes[-1] <= PIECE_BYTES


def broken(packed: Path, folder: Path, **changed: object) -> Path:
    """The same pack, with something in its manifest changed."""
    folder.mkdir()
    for path in packed.iterdir():
        (folder / path.name).symlink_to(path)
    manifest = json.loads((packed / "MANIFEST.json").read_text())
    (folder / "MANIFEST.json").unlink()
    (folder / "MANIFEST.json").write_text(json.dumps(manifest | changed))
    (folder / "run.py").unlink()
    (folder / "run.py").write_bytes((packed / "run.py").read_bytes())
    return folder


def test_a_piece_that_is_missing_or_another_one_is_named(packed: Path, tmp_path: Path) -> None:
    copy = broken(packed, tmp_path / "copy")
    (copy / "piece-001").unlink()
    missing = ran(copy, tmp_path / "a")
    (copy / "piece-001").write_bytes(b"another")
    other = ran(copy, tmp_path / "b")

    assert (missing.returncode, other.returncode) == (1, 1)
    assert "piece-001" in missing.stderr
    assert "copy it beside run.py" in missing.stderr
    assert "is not what was packed; copy it again" in other.stderr


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"wheels": 3, "python": "3.9"}, "packages are for Python 3.9"),
        ({"unpacked_bytes": 1 << 60}, "name another folder with --into"),
        ({"modules": ["numpy", "no_such_module"]}, "this Python lacks no_such_module"),
    ],
)
def test_what_the_machine_lacks_is_a_sentence(
    packed: Path, tmp_path: Path, changed: dict[str, object], sentence: str
) -> None:
    done = ran(broken(packed, tmp_path / "copy", **changed), tmp_path / "there")

    assert done.returncode == 1
    assert sentence in done.stderr


def test_the_wheels_are_the_locked_ones_with_the_runtime_of_the_kind() -> None:
    requirements = packing.ROOT / "requirements"
    names = {kind: set(wanted(requirements, kind)) for kind in ("cuda", "trt-rtx", "cpu")}

    assert len(names["cuda"] - names["cpu"]) == 1
    [runtime] = names["cuda"] - names["cpu"]
    assert runtime.startswith("onnxruntime-gpu==")
    assert names["trt-rtx"] - names["cpu"] == {"onnxruntime-ep-nv-tensorrt-rtx-cu13"}
    assert not any(name.startswith("torch") for name in names["cuda"])
    assert "numpy==1.26.4" not in set(wanted(requirements, "cpu", ["numpy"]))
