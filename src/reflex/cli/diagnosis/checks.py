"""What this machine needs to run `reflex serve`, one pure function per question.

Each takes facts and returns a `Check`; `machine.py` finds the facts. A failed check says, in `fix`, the line to type.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from reflex.gpus import Gpu, Machine, choose, ways
from reflex.triton_wheel import WHEEL, libpython_name, stub_of, stub_versions, triton_root
from reflex.wording.install import fresh_environment_line, install_line, pip_line, reinstall_line

__all__ = [
    "Check",
    "check_devices",
    "check_extra",
    "check_glibc",
    "check_gpu",
    "check_libpython",
    "check_onnxruntime",
    "check_port",
    "check_python",
    "check_shadowing",
    "check_stub",
    "check_tritonserver",
]

Status = Literal["ok", "warn", "fail", "info"]
PythonVersion = tuple[int, int]

OLDEST_PYTHON: Final[PythonVersion] = (3, 11)
OLDEST_GLIBC: Final = (2, 35)  # the tritonserver binary of nvidia-pytriton 0.7.0 is built against it
GREATEST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Check:
    """One answer. `fail` keeps `reflex serve` from working as it stands, `warn` may, `info` is only said."""

    name: str
    status: Status
    detail: str
    fix: str | None = None


def check_python(version: PythonVersion) -> Check:
    """Python itself."""
    found = _dotted(version)
    if version < OLDEST_PYTHON:
        return Check(
            "python",
            "fail",
            f"{found} is too old; Reflex needs {_dotted(OLDEST_PYTHON)}",
            fresh_environment_line(_dotted(OLDEST_PYTHON)),
        )
    return Check("python", "ok", found)


def check_glibc(library: str, version: str) -> Check:
    """The C library, as `platform.libc_ver()` tells it."""
    if library != "glibc":
        found = library or "no glibc"
        return Check(
            "glibc",
            "fail",
            f"{found}; the embedded Triton is built for glibc",
            "use a glibc Linux, or serve from a Triton elsewhere: reflex serve --triton grpc://host:8001",
        )
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if parts < OLDEST_GLIBC:
        return Check(
            "glibc",
            "fail",
            f"{version}; the embedded Triton needs {_dotted(OLDEST_GLIBC)}",
            "upgrade to Ubuntu 22.04, Debian 12 or newer, or: reflex serve --triton grpc://host:8001",
        )
    return Check("glibc", "ok", version)


def check_libpython(version: PythonVersion, found: Path | None) -> Check:
    """The interpreter's shared library, which Triton's Python backend loads."""
    if found is None:
        name = libpython_name(_dotted(version))
        return Check(
            "libpython",
            "fail",
            f"{name} is not there; Triton's Python backend loads it",
            f"sudo apt-get install libpython{_dotted(version)}",
        )
    return Check("libpython", "ok", str(found))


def check_tritonserver(pytriton: Path | None) -> Check:
    """The server binary in the package nvidia-pytriton, whose folder is `pytriton`."""
    if pytriton is None:
        return Check("tritonserver", "fail", "the package nvidia-pytriton is not installed", install_line("embedded"))
    binary = triton_root(pytriton) / "bin" / "tritonserver"
    if not binary.is_file():
        return Check(
            "tritonserver",
            "fail",
            f"{binary} is missing; the wheel for Linux x86-64 carries it",
            pip_line("install", "--force-reinstall", "--no-deps", WHEEL),
        )
    return Check("tritonserver", "ok", str(binary))


def check_stub(pytriton: Path | None, version: PythonVersion) -> Check:
    """Triton's helper process for this very Python version."""
    if pytriton is None:
        return Check(
            "python stub", "fail", "comes with nvidia-pytriton, which is not installed", install_line("embedded")
        )
    if stub_of(triton_root(pytriton), _dotted(version)).is_file():
        return Check("python stub", "ok", f"for Python {_dotted(version)}")
    known = ", ".join(stub_versions(triton_root(pytriton))) or "no version"
    return Check(
        "python stub",
        "fail",
        f"none for Python {_dotted(version)}; nvidia-pytriton carries {known}",
        fresh_environment_line("3.12", "serve", "embedded"),
    )


def check_onnxruntime(version: str | None, problem: str | None) -> Check:
    """The engine of the embedded Triton; `problem` is why its import failed."""
    if version is None:
        detail = problem or "not installed"
        fix = pip_line("install", "--force-reinstall", "onnxruntime") if problem else install_line("embedded")
        return Check("onnxruntime", "fail", detail, fix)
    return Check("onnxruntime", "ok", version)


def check_extra(name: str, missing: Collection[str]) -> Check:
    """One extra of the distribution; `missing` are its packages that are not there."""
    if missing:
        return Check(f"extra {name}", "fail", f"not installed: {', '.join(sorted(missing))}", install_line(name))
    return Check(f"extra {name}", "ok", "installed")


def check_port(port: int, problem: str | None, server: str | None = None) -> Check:
    """Whether `reflex serve` could listen; `problem` is what the system says, `server` a Reflex that listens there."""
    if problem is not None and server is not None:
        return Check(f"port {port}", "ok", f"`reflex serve` runs there: {server}")
    if problem is not None:
        other = port + 1 if port < GREATEST_PORT else port - 1
        return Check(
            f"port {port}",
            "fail",
            f"cannot be listened on: {problem}",
            f"see what holds it with `ss -ltnp sport = :{port}`, or: reflex serve --port {other}",
        )
    return Check(f"port {port}", "ok", "free")


def check_gpu(machine: Machine | None) -> Check:
    """Cards and driver as the driver tells them; None means that it does not answer."""
    if machine is None:
        return Check("gpu", "warn", "NVIDIA's driver does not answer", "sudo reboot")
    driver = machine.driver
    if driver.problem == "absent":
        return Check("gpu", "info", "no NVIDIA driver; the embedded Triton runs on the CPU")
    if driver.problem is not None:
        detail, fix = _split(str(ways(machine)["cuda"]))
        return Check("gpu", "warn", detail, fix)
    runs = f"CUDA {driver.cuda[0]}.{driver.cuda[1]}" if driver.cuda else "an unknown CUDA"
    cards = "; ".join(map(str, driver.gpus))
    return Check("gpu", "ok", f"{cards}; driver {driver.release or 'of an unknown release'}, {runs}")


def check_devices(machine: Machine | None) -> Iterator[Check]:
    """One for each `--device`, and what `auto` comes to. Where there is a GPU and no way to it, that is a warning."""
    found = {"cpu": None} if machine is None else ways(machine)
    gpu_works = any(isinstance(way, Gpu) for way in found.values())
    is_wanted = machine is not None and machine.driver.problem != "absent" and not gpu_works
    for device, way in found.items():
        name = f"--device {device}"
        if isinstance(way, str):
            yield Check(name, "warn", *_split(way)) if is_wanted else Check(name, "info", way)
        else:
            yield Check(name, "ok", "ONNX Runtime on the processor" if way is None else f"ONNX Runtime on {way.name}")
    taken = "cpu" if machine is None else choose("auto", machine).device
    yield Check("--device auto", "info", f"takes {taken}")


def _split(sentence: str) -> tuple[str, str | None]:
    """What is wrong, and what to do."""
    wrong, _, remedy = sentence.rpartition("; ")
    return (wrong, remedy) if wrong else (sentence, None)


def check_shadowing(versions: Mapping[str, str], module_version: str, local: Path | None) -> Check:
    """Whether `import reflex` means this package.

    `versions` are the installed distributions that bring a package `reflex`, `module_version` is the imported one's,
    `local` a file or folder of that name in the current directory.
    """
    others = sorted(set(versions) - {"reflex-act"})
    if others:
        return Check(
            "import reflex",
            "fail",
            f"also installed by {', '.join(others)}, which overwrites parts of it",
            f"{pip_line('uninstall', '-y', *others)} && {reinstall_line()}",
        )
    installed = versions.get("reflex-act")
    if installed != module_version:
        return Check(
            "import reflex",
            "warn",
            f"is version {module_version}, but installed is {installed or 'none'}",
            reinstall_line(),
        )
    if local is not None:
        return Check(
            "import reflex",
            "warn",
            f"a Python script started here would import {local} instead",
            f"rename {local}, or start from another directory",
        )
    return Check("import reflex", "ok", f"reflex-act {module_version}")


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(str(part) for part in version)
