"""`make gpu-pack`: packs `make gpu-check` for a machine with a card and without network.

    python -m reflex_bench.gpu_check.packing [--python 3.12] [--for cuda] [--piece-mb 60] [--no-wheels]

Writes a folder with pieces of at most so many megabytes, their hashes, and run.py, which unpacks them there, runs the
check and says where its JSON is. The wheels are those of the images; torch and the CUDA libraries are not among them:
for `--for cuda` the machine must have a driver of CUDA 13 with cuBLAS and cuDNN, as a PyTorch of CUDA 13 brings them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from reflex_bench.gpu_check.packing import run_packed
from reflex_bench.gpu_check.packing.wheels import MODULES, PackError, fetch_wheels, wanted
from reflex_bench.gpu_check.report import commit_of

__all__ = ["main", "pack"]

ROOT: Final = Path(__file__).parents[4]
OUTPUT: Final = Path("build/gpu-pack")
FOLDERS: Final = (
    "bench/reflex_bench",
    "src",
    "frontend",
    "export/reflex_export",
    "tests/golden",
    "model_repository/demo",
)
MEGABYTE: Final = 1_000_000
UNPACKED_FACTOR: Final = 4
"""Of what wheels become when they are unpacked, and some room."""
INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    names = [] if options.no_wheels else list(wanted(ROOT / "requirements", options.kind, options.without))
    try:
        with tempfile.TemporaryDirectory(prefix="reflex-gpu-pack-") as scratch:
            wheels = Path(scratch)
            if names:
                print(f"fetching {len(names)} packages for Python {options.python}", file=sys.stderr, flush=True)
                fetch_wheels(names, options.python, wheels)
            manifest = pack(options.output, wheels, options.python, options.piece_mb * MEGABYTE)
    except PackError as exc:
        print(f"gpu-pack: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    total = sum(piece["bytes"] for piece in manifest["pieces"]) / MEGABYTE
    print(f"{options.output}: {len(manifest['pieces'])} pieces, {total:.0f} MB; there: python3 run.py")
    return 0


def pack(folder: Path, wheels: Path, python: str, piece_bytes: int) -> dict[str, Any]:
    """Sources, recorded checkpoints and wheels as pieces in `folder`, which is made anew; returns the manifest."""
    if folder.exists() and any(folder.iterdir()) and not (folder / run_packed.MANIFEST).exists():
        raise PackError(f"{folder} holds something else than a pack; name another folder with --output")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / run_packed.MANIFEST).touch()
    pieces = _Pieces(folder, piece_bytes)
    with tarfile.open(fileobj=pieces, mode="w|") as archive:  # type: ignore[call-overload]
        for name in _tracked():
            archive.add(ROOT / name, name)
        for wheel in sorted(wheels.glob("*.whl")):
            archive.add(wheel, f"wheels/{wheel.name}")
        _add_text(archive, "COMMIT", commit_of(ROOT))
    listed = pieces.close()
    manifest = {
        "id": hashlib.sha256(json.dumps(listed).encode()).hexdigest(),
        "commit": commit_of(ROOT),
        "python": python,
        "wheels": len(list(wheels.glob("*.whl"))),
        "modules": MODULES,
        "unpacked_bytes": UNPACKED_FACTOR * sum(piece["bytes"] for piece in listed),
        "pieces": listed,
    }
    (folder / run_packed.MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(run_packed.__file__, folder / "run.py")
    return manifest


def _tracked() -> list[str]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard", *FOLDERS]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as exc:
        raise PackError("this is no git checkout, so it is not known what belongs to it; pack from a clone") from exc
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def _add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        archive.add(file.name, name)


class _Pieces:
    """A file that is written once, as several."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        self._buffer, self._listed = bytearray(), list[dict[str, str | int]]()

    def write(self, block: bytes) -> int:
        self._buffer += block
        while len(self._buffer) >= self._most_bytes:
            self._put(self._most_bytes)
        return len(block)

    def close(self) -> list[dict[str, Any]]:
        if self._buffer:
            self._put(len(self._buffer))
        return self._listed

    def _put(self, size: int) -> None:
        name = f"piece-{len(self._listed):03}"
        content = bytes(self._buffer[:size])
        del self._buffer[:size]
        (self._folder / name).write_bytes(content)
        self._listed.append({"name": name, "bytes": size, "sha256": hashlib.sha256(content).hexdigest()})


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m reflex_bench.gpu_check.packing",
        description=__doc__,
        epilog="example: make gpu-pack ARGS='--python 3.12 --for trt-rtx'",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--python", default="3.12", help="of the machine; the default is 3.12")
    parser.add_argument("--for", dest="kind", choices=("cuda", "trt-rtx", "cpu"), default="cuda", help="its way")
    parser.add_argument("--piece-mb", type=int, default=60, help="most megabytes of a piece; the default is 60")
    parser.add_argument("--without", action="append", default=[], metavar="NAME", help="a package that is there")
    parser.add_argument("--no-wheels", action="store_true", help="all packages are there: a pack of 20 MB")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"the folder; the default is {OUTPUT}")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
