"""Unpacks what `make gpu-pack` packed, runs the check, and says where its JSON is.

    python3 run.py [--into FOLDER] [options of the check, like --small or --output FILE]

Needs Python's own library alone; it lies as `run.py` beside the pieces and their MANIFEST.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["MANIFEST", "extract", "install", "link_libraries", "main"]

MANIFEST = "MANIFEST.json"
UNPACKED = "UNPACKED"
SOURCES = ("bench", "src", "frontend", "export")
BLOCK_BYTES = 1 << 20


class RefusedError(Exception):
    """Something is missing; the message says what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns only when something is missing."""
    parser = argparse.ArgumentParser(prog="python3 run.py", description=__doc__, add_help=False)
    parser.add_argument("--into", type=Path, default=None)
    options, passed_on = parser.parse_known_args(arguments)
    packed = Path(__file__).resolve().parent
    into = (options.into or packed / "unpacked").resolve()
    try:
        manifest = _manifest(packed)
        _require_python(manifest)
        _unpack(packed, manifest, into)
        _require_modules(manifest, into)
    except RefusedError as exc:
        print(f"gpu-check: {exc}", file=sys.stderr)
        return 1
    return _become([str(_python(into)), "-m", "reflex_bench.gpu_check", *passed_on])


def _become(command: list[str]) -> NoReturn:
    """Run it in this process's place, so that a signal ends the check itself."""
    os.execve(command[0], command, _environment())


def _manifest(packed: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((packed / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise RefusedError(f"{packed / MANIFEST} is missing or broken; copy the whole folder again") from exc
    return manifest


def _require_python(manifest: dict[str, Any]) -> None:
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if manifest["wheels"] and here != manifest["python"]:
        raise RefusedError(
            f"its packages are for Python {manifest['python']}, this is {here}; start run.py with that one, or pack "
            f"again: make gpu-pack ARGS='--python {here}'"
        )


def _unpack(packed: Path, manifest: dict[str, Any], into: Path) -> None:
    """Once; a folder that was left half unpacked is made anew."""
    mark, made = into / UNPACKED, f"{manifest['id']} {into}"
    if mark.is_file() and mark.read_text(encoding="utf-8") == made:
        return
    _require_pieces(packed, manifest)
    free_bytes = shutil.disk_usage(packed if not into.parent.exists() else into.parent).free
    if free_bytes < manifest["unpacked_bytes"]:
        needed = manifest["unpacked_bytes"] >> 20
        raise RefusedError(f"{into.parent} has no room for {needed} MiB; name another folder with --into")
    if into.exists() and any(into.iterdir()) and not mark.exists():
        raise RefusedError(f"{into} holds something else; name an empty folder with --into")
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    mark.touch()
    with tarfile.open(fileobj=_Joined(packed, manifest), mode="r|") as archive:  # type: ignore[call-overload]
        extract(archive, into)
    site = _make_environment(into)
    for wheel in sorted((into / "wheels").glob("*.whl")):
        install(wheel, site)
    link_libraries(site, _machine_paths())
    mark.write_text(made, encoding="utf-8")


def extract(archive: tarfile.TarFile, into: Path) -> None:
    """Python 3.11.0 to 3.11.3, and 3.10 before its 12th, have no filter; what is in the pieces is what was packed."""
    chosen: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    archive.extractall(into, **chosen)


def _make_environment(into: Path) -> Path:
    """A virtual environment, for Triton's processes look in no other place; behind its packages the machine's own."""
    venv.EnvBuilder(symlinks=True).create(into / "venv")
    [site] = (into / "venv").glob("lib/python3*/site-packages")
    for name, paths in (("a_sources", [str(into / name) for name in SOURCES]), ("z_machine", _machine_paths())):
        (site / f"{name}.pth").write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
    return site


def _machine_paths() -> list[str]:
    return [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]


def link_libraries(site: Path, machine: Sequence[str]) -> None:
    """NVIDIA's packages of the machine beside ONNX Runtime, which looks for CUDA's libraries in its own neighbourhood.

    Each by itself: what the wheels brought stays, and nothing is ever written into the machine's folders.
    """
    for package in (package for path in machine for package in sorted(Path(path, "nvidia").glob("*"))):
        link = site / "nvidia" / package.name
        if package.is_dir() and not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(package.resolve())


def _python(into: Path) -> Path:
    return into / "venv" / "bin" / "python"


def _require_pieces(packed: Path, manifest: dict[str, Any]) -> None:
    for piece in manifest["pieces"]:
        path = packed / piece["name"]
        if not path.is_file():
            raise RefusedError(f"{piece['name']} of {len(manifest['pieces'])} pieces is missing; copy it beside run.py")
        if path.stat().st_size != piece["bytes"] or _sha256(path) != piece["sha256"]:
            raise RefusedError(f"{piece['name']} is not what was packed; copy it again")


def install(wheel: Path, site: Path) -> None:
    """As `pip install --target` does, without scripts; what stands under `.data` belongs to the packages too."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            placed = Path(archive.extract(entry, site))
            if entry.external_attr >> 16 & 0o111 and placed.is_file():
                placed.chmod(0o755)  # a program, such as tritonserver, which zipfile leaves as a plain file
    wheel.unlink()
    for data in site.glob("*.data"):
        for kind in ("purelib", "platlib"):
            if (data / kind).is_dir():
                shutil.copytree(data / kind, site, dirs_exist_ok=True)
        shutil.rmtree(data)


def _require_modules(manifest: dict[str, Any], into: Path) -> None:
    code = (
        "import importlib.util, sys\n"
        "print(' '.join(name for name in sys.argv[1:] if importlib.util.find_spec(name) is None))"
    )
    command = [str(_python(into)), "-c", code, *manifest["modules"]]
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode or done.stdout.split():
        raise RefusedError(
            f"this Python lacks {', '.join(done.stdout.split()) or done.stderr.strip()}; install that, or pack again "
            "with its wheels"
        )


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return {**kept, "ORT_DISABLE_TELEMETRY": "1"}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


class _Joined:
    """The pieces as one file that is read once."""

    def __init__(self, packed: Path, manifest: dict[str, Any]) -> None:
        self._blocks = self._read(packed, manifest)
        self._rest = b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size and (block := next(self._blocks, b"")):
            self._rest += block
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    @staticmethod
    def _read(packed: Path, manifest: dict[str, Any]) -> Iterator[bytes]:
        for piece in manifest["pieces"]:
            with (packed / piece["name"]).open("rb") as file:
                while block := file.read(BLOCK_BYTES):
                    yield block


if __name__ == "__main__":
    sys.exit(main())
