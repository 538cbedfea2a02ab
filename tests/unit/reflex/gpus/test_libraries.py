from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reflex.gpus.libraries import CUDA_LIBRARIES, Libraries, library_folders, read_libraries


@pytest.fixture
def site_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An environment of its own: what is installed there is all that is found."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    loaded = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "onnxruntime"}
    yield tmp_path
    sys.modules.update(loaded)


def install(site_packages: Path, distribution: str, version: str, module: str, built: str = "") -> None:
    info = site_packages / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    (site_packages / module / "capi").mkdir(parents=True, exist_ok=True)
    (site_packages / module / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    (site_packages / module / "capi" / "build_and_package_info.py").write_text(built)


ON_GPU = "package_name = 'onnxruntime-gpu'\n__version__ = '1.31.1'\ncuda_version = '13.0'\n"
ON_CPU = "package_name = 'onnxruntime'\n__version__ = '1.31.1'\n"


def test_nothing_is_found_where_nothing_is_installed(site_packages: Path) -> None:
    assert read_libraries() == Libraries()


def test_the_gpu_package_and_its_libraries_are_found_without_an_import(site_packages: Path) -> None:
    install(site_packages, "onnxruntime-gpu", "1.31.1", "onnxruntime", ON_GPU)
    folder = site_packages / "nvidia" / "cu13" / "lib"
    folder.mkdir(parents=True)
    for name in CUDA_LIBRARIES[:-1]:
        (folder / name).touch()

    assert folder in library_folders(site_packages)
    found = read_libraries([folder])
    assert (found.onnxruntime, found.cuda, found.distributions) == ("1.31.1", "13.0", ("onnxruntime-gpu",))
    assert found.missing == ("libcudnn.so.9",)


def test_of_two_distributions_the_one_that_is_imported_counts(site_packages: Path) -> None:
    install(site_packages, "onnxruntime-gpu", "1.31.1", "onnxruntime", ON_GPU)
    install(site_packages, "onnxruntime", "1.31.0", "onnxruntime", ON_CPU)
    found = read_libraries([])
    assert (found.onnxruntime, found.cuda, found.missing) == ("1.31.0", None, ())
    assert found.distributions == ("onnxruntime", "onnxruntime-gpu")


def test_the_plugin_is_found_with_the_cuda_that_it_is_for(site_packages: Path) -> None:
    install(site_packages, "onnxruntime-ep-nv-tensorrt-rtx-cu13", "0.5.0", "onnxruntime_ep_nv_tensorrt_rtx")
    found = read_libraries()
    assert (found.plugin, found.plugin_cuda, found.onnxruntime) == ("0.5.0", 13, None)


def test_folders_that_the_environment_names_are_looked_in(site_packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{site_packages / 'mine'}:")
    assert site_packages / "mine" in library_folders(site_packages)
