from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reflex_frontend.embedded.command import Run, server_arguments, server_environment
from reflex_frontend.embedded.locate import Installation
from reflex_frontend.embedded.options import EmbeddedOptions
from reflex_frontend.embedded.run_folder import RunFolder


@pytest.fixture
def run() -> Run:
    parts = Installation(
        server=Path("/t/tritonserver"), libraries=Path("/t/libs"), backend=Path("/t/python"), stub=Path("/t/stub"),
        libpython=Path("/py/lib/libpython3.11.so.1.0"), python_bin=Path("/venv/bin"),
    )  # fmt: skip
    return Run(parts, Path("/cache/b"), Path("/models"), "reflex_1_", threads=3)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    made = RunFolder(str(tmp_path))
    yield made
    made.remove()


def test_only_the_named_models_are_loaded_and_no_port_listens(run: Run, folder: RunFolder) -> None:
    arguments = server_arguments(run, folder, EmbeddedOptions(model_repository=Path("/models"), models=()), ("a", "b"))
    assert [word for word in arguments if "load-model" in word] == ["--load-model=a", "--load-model=b"]
    assert {"--allow-http=false", "--allow-metrics=false"} < {*arguments}
    address, port = (next(word for word in arguments if name in word) for name in ("grpc-address", "grpc-port"))
    assert f"{address.partition('=')[2]}:{port.partition('=')[2]}" == folder.address
    assert folder.address.startswith(f"unix:{folder.path}/")


def test_the_stub_finds_our_python_and_libraries_before_the_callers(run: Run) -> None:
    environment = server_environment(run, {"PATH": "/usr/bin", "LD_LIBRARY_PATH": "/ros"})
    assert environment["PATH"] == "/venv/bin:/usr/bin"
    assert environment["LD_LIBRARY_PATH"] == "/t/libs:/py/lib:/ros"


def test_python_variables_of_the_callers_shell_do_not_reach_the_stub(run: Run) -> None:
    environment = server_environment(run, {"PYTHONPATH": "/opt/ros/lib", "PYTHONHOME": "/x", "HOME": "/home/u"})
    assert {"PYTHONPATH", "PYTHONHOME"}.isdisjoint(environment)
    assert environment["HOME"] == "/home/u"


def test_models_are_told_how_many_threads_they_may_use(run: Run) -> None:
    assert server_environment(run, {})["REFLEX_ONNX_THREADS"] == "3"
