from __future__ import annotations

import shutil
import socket
import threading
from pathlib import Path

import pytest

from reflex.cli.diagnosis import checks
from reflex.cli.diagnosis.checks import Check
from reflex.cli.diagnosis.machine import check_machine, port_problem, server_at
from reflex.gpus import Libraries, Machine, read_driver
from reflex.wording.install import install_line, pip_line, reinstall_line
from support.gpus.standin import H200, RTX_4090, Standin


def test_an_old_python_fails_and_a_new_one_does_not() -> None:
    assert checks.check_python((3, 10)).status == "fail"
    assert checks.check_python((3, 11)).status == "ok"


@pytest.mark.parametrize(
    ("library", "version", "status"),
    [("glibc", "2.35", "ok"), ("glibc", "2.41", "ok"), ("glibc", "2.4", "fail"), ("glibc", "2.31", "fail"),
     ("glibc", "", "fail"), ("", "", "fail")],
)  # fmt: skip
def test_glibc_is_compared_as_numbers(library: str, version: str, status: str) -> None:
    assert checks.check_glibc(library, version).status == status


def test_a_missing_libpython_names_the_debian_package() -> None:
    check = checks.check_libpython((3, 12), None)
    assert (check.status, check.fix) == ("fail", "sudo apt-get install libpython3.12")


@pytest.fixture
def pytriton(tmp_path: Path) -> Path:
    for name in ("bin/tritonserver", "python_backend_stubs/3.12/triton_python_backend_stub"):
        path = tmp_path / "tritonserver" / name
        path.parent.mkdir(parents=True)
        path.touch()
    return tmp_path


def test_the_server_binary_and_the_stub_of_this_python_are_found(pytriton: Path) -> None:
    assert checks.check_tritonserver(pytriton).status == "ok"
    assert checks.check_stub(pytriton, (3, 12)).status == "ok"


def test_a_python_without_a_stub_is_told_which_ones_have_one(pytriton: Path) -> None:
    check = checks.check_stub(pytriton, (3, 14))
    assert check.status == "fail"
    assert "nvidia-pytriton carries 3.12" in check.detail


def test_a_wheel_without_its_binary_fails(pytriton: Path) -> None:
    shutil.rmtree(pytriton / "tritonserver" / "bin")
    assert checks.check_tritonserver(pytriton).status == "fail"


@pytest.mark.parametrize(
    "check",
    [checks.check_tritonserver(None), checks.check_stub(None, (3, 11)), checks.check_onnxruntime(None, None),
     checks.check_extra("embedded", ["pytriton"])],
    ids=lambda check: check.name,
)  # fmt: skip
def test_what_comes_with_an_extra_is_fixed_by_that_extra(check: Check) -> None:
    assert (check.status, check.fix) == ("fail", install_line("embedded"))


def test_an_onnxruntime_that_cannot_be_imported_says_why() -> None:
    check = checks.check_onnxruntime(None, "is installed but cannot be imported: libstdc++ is too old")
    assert check.status == "fail"
    assert "libstdc++" in check.detail


def test_a_port_that_somebody_listens_on_fails_with_another_to_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        check = checks.check_port(port, port_problem(port))
    assert check.status == "fail"
    assert f"--port {port + 1}" in (check.fix or "")
    assert checks.check_port(port, port_problem(port)).status == "ok"


ON_GPU = Libraries("1.31.1", "13.0", ("onnxruntime-gpu",))


def machine_with(folder: Path, standin: Standin | None, libraries: Libraries = ON_GPU) -> Machine:
    library = folder / "libcuda.so.1"
    if standin is not None:
        standin.write(library)
    (folder / "version").write_text("580.95.05")
    return Machine(read_driver(str(library), folder / "version"), libraries)


def told(machine: Machine | None) -> dict[str, tuple[str, str, str | None]]:
    every = [checks.check_gpu(machine), *checks.check_devices(machine)]
    return {check.name: (check.status, check.detail, check.fix) for check in every}


def test_no_gpu_is_no_failure(tmp_path: Path) -> None:
    found = told(machine_with(tmp_path, None))
    assert {name: status for name, (status, _, _) in found.items()} == {
        "gpu": "info", "--device trt-rtx": "info", "--device cuda": "info", "--device cpu": "ok",
        "--device auto": "info",
    }  # fmt: skip
    assert found["--device auto"][1] == "takes cpu"


def test_a_card_is_told_with_its_driver_and_the_ways_that_it_has(tmp_path: Path) -> None:
    found = told(machine_with(tmp_path, Standin([H200])))
    assert found["gpu"][:2] == (
        "ok", "NVIDIA H200, compute capability 9.0, 141 GiB; driver 580.95.05, CUDA 13.0",
    )  # fmt: skip
    assert found["--device cuda"] == ("ok", "ONNX Runtime on NVIDIA H200", None)
    assert found["--device trt-rtx"][0] == "info"
    assert "9.0" in found["--device trt-rtx"][1]
    assert found["--device auto"][1] == "takes cuda"


def test_a_card_without_a_way_to_it_is_a_warning_with_the_line_to_type(tmp_path: Path) -> None:
    found = told(machine_with(tmp_path, Standin([RTX_4090]), Libraries()))
    assert found["--device cuda"] == ("warn", "the package onnxruntime-gpu is not installed", install_line("gpu"))
    assert found["--device trt-rtx"][2] == install_line("gpu-rtx")


def test_a_driver_that_is_broken_or_hangs_is_a_warning(tmp_path: Path) -> None:
    status, detail, fix = told(machine_with(tmp_path, Standin(results={"cuInit": 804})))["gpu"]
    assert (status, fix) == ("warn", "restart the machine")
    assert "804" in detail
    assert told(None)["gpu"][0] == "warn"
    assert told(None)["--device auto"][1] == "takes cpu"


def test_another_distribution_with_the_same_import_name_fails() -> None:
    check = checks.check_shadowing({"reflex-act": "1.0", "reflex": "0.8"}, "1.0", None)
    assert check.status == "fail"
    assert check.fix == f"{pip_line('uninstall', '-y', 'reflex')} && {reinstall_line()}"


def test_a_module_of_another_version_or_a_local_one_is_a_warning() -> None:
    assert checks.check_shadowing({"reflex-act": "1.1"}, "1.0", None).status == "warn"
    assert checks.check_shadowing({"reflex-act": "1.0"}, "1.0", Path("reflex.py")).status == "warn"
    assert checks.check_shadowing({"reflex-act": "1.0"}, "1.0", None).status == "ok"


def test_every_check_that_asks_for_something_says_how() -> None:
    found = list(check_machine(8000))
    assert len({check.name for check in found}) == len(found)
    assert all(check.fix for check in found if check.status in ("fail", "warn"))
    assert not any(check.fix for check in found if check.status in ("ok", "info"))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b'{"status": "ready", "model_version": "cup@1234"}', "cup@1234, ready"),
        (b'{"status": "warming"}', "no policy, warming"),
        (b'{"status": "\\u001b[2J"}', None),
        (b"hello", None),
    ],
)
def test_a_port_is_fine_where_reflex_itself_listens(answer: bytes, told: str | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answer_once, args=(listener, answer), daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        found = server_at(port)
        thread.join()

    assert found == told
    check = checks.check_port(port, "Address already in use", found)
    assert check.status == ("fail" if told is None else "ok")
    assert told is None or check.detail == f"`reflex serve` runs there: {told}"


def _answer_once(listener: socket.socket, body: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 503 -\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
