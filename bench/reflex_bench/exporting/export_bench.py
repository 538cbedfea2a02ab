"""`make bench-export`: what exporting full-size checkpoints costs, beside copying the same file.

    python -m reflex_bench.exporting.export_bench GOLDEN_FOLDER [--rounds 2] [--scratch FOLDER] [--family pi0]...

For each list of names and shapes in GOLDEN_FOLDER/keys it writes a checkpoint of that size with random weights, then
in turns copies it (shutil.copyfile) and exports it to FP16 with `reflex export --no-check` in a fresh process. The
full-size SmolVLA then answers /act on the embedded Triton. Needs 35 GB in the scratch folder for pi0 and pi0.5. Prints
a Markdown table; exits 1 when a target is missed.

Nothing is dropped from the page cache: what the machine can keep is warm. The export ends with its files on disk, the
copy ends in the page cache.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reflex.durable_files import sync
from reflex_bench.exporting.export_sizes import live_parameters, stored_bytes
from reflex_bench.exporting.full_size_act import answer_act
from reflex_bench.exporting.synthesis import synthesise
from reflex_export.reading import read_checkpoint

__all__ = ["Measured", "main", "measure", "table_of"]

FAMILIES: Final = ("smolvla", "pi0", "pi05")
MAX_RATIO: Final = 3.0
MAX_ABOVE_BARE_BYTES: Final = 2 << 30
MAX_SIZE_ERROR: Final = 0.01
HALF_BYTES: Final = 2
HEADER: Final = (
    "| checkpoint | file | copy | copy, synced | export | export over copy | over synced copy | whole process "
    "| peak above bare | stored over live |\n|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Medians of all rounds; seconds and bytes."""

    name: str
    file_bytes: int
    copy_s: float
    synced_copy_s: float
    """Until the copy is on disk, as an export is when it ends."""
    export_s: float
    process_s: float
    """With the interpreter's start and all imports."""
    bare_bytes: int
    peak_above_bare_bytes: int
    stored_over_live: float
    """Initialiser bytes over two for each live parameter."""

    @property
    def ratio(self) -> float:
        """To the plain copy: the target's, though the export ends with its files on disk and that copy does not."""
        return self.export_s / self.copy_s

    @property
    def synced_ratio(self) -> float:
        """To the copy that ends as an export does."""
        return self.export_s / self.synced_copy_s

    @property
    def missed(self) -> list[str]:
        checks = {
            f"export takes {self.ratio:.2f} x the copy": self.ratio <= MAX_RATIO,
            f"peak is {self.peak_above_bare_bytes / 2**30:.2f} GiB": self.peak_above_bare_bytes <= MAX_ABOVE_BARE_BYTES,
            f"stored over live is {self.stored_over_live:.4f}": abs(self.stored_over_live - 1) <= MAX_SIZE_ERROR,
        }
        return [f"{self.name}: {what}" for what, is_met in checks.items() if not is_met]

    def __str__(self) -> str:
        cells = (
            self.name,
            f"{self.file_bytes / 1e9:.2f} GB",
            f"{self.copy_s:.2f} s",
            f"{self.synced_copy_s:.2f} s",
            f"{self.export_s:.2f} s",
            f"{self.ratio:.2f}",
            f"{self.synced_ratio:.2f}",
            f"{self.process_s:.2f} s",
            f"{self.peak_above_bare_bytes / 2**20:.0f} MiB",
            f"{self.stored_over_live:.4f}",
        )
        return f"| {' | '.join(cells)} |"


def main() -> int:
    options = _options()
    rows: list[Measured] = []
    sentences: list[str] = []
    for family in options.family or FAMILIES:
        with tempfile.TemporaryDirectory(prefix="reflex-export-bench-", dir=options.scratch) as folder:
            scratch = Path(folder)
            listed = json.loads((options.golden / "keys" / f"{family}_full.json").read_text())
            checkpoint = synthesise(listed, options.golden / family, scratch / "checkpoint")
            rows.append(measure(family, checkpoint, scratch, options.rounds))
            print(f"{HEADER}\n{rows[-1]}", file=sys.stderr, flush=True)
            if family == "smolvla" and options.act:
                sentences += answer_act(checkpoint, scratch / "serve")
    print("\n".join((table_of(rows), "", *sentences)))
    missed = [what for row in rows for what in row.missed]
    print("\n".join(f"MISSED: {what}" for what in missed) or "every target is met", file=sys.stderr)
    return 1 if missed else 0


def table_of(rows: Sequence[Measured]) -> str:
    """As Markdown."""
    return "\n".join((HEADER, *(str(row) for row in rows)))


def measure(name: str, checkpoint: Path, scratch: Path, rounds: int) -> Measured:
    """Copy and export in turns; each begins without the other's result on disk."""
    weights = checkpoint / "model.safetensors"
    copies, exports, sizes = [], [], []
    for _ in range(rounds):
        copies.append(_copied(weights, scratch / "copy"))
        exports.append(_exported(checkpoint, scratch / "models"))
        sizes.append(stored_bytes(scratch / "models"))
        shutil.rmtree(scratch / "models")
    live_bytes = HALF_BYTES * live_parameters(read_checkpoint(checkpoint))
    return Measured(
        name=name,
        file_bytes=weights.stat().st_size,
        copy_s=statistics.median(plain_s for plain_s, _ in copies),
        synced_copy_s=statistics.median(synced_s for _, synced_s in copies),
        export_s=statistics.median(export["seconds"] for export in exports),
        process_s=statistics.median(export["process_s"] for export in exports),
        bare_bytes=max(export["bare_bytes"] for export in exports),
        peak_above_bare_bytes=max(export["peak_above_bare_bytes"] for export in exports),
        stored_over_live=max(sizes) / live_bytes,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m reflex_bench.exporting.export_bench", description=__doc__)
    parser.add_argument(
        "golden", type=Path, metavar="GOLDEN_FOLDER", help="recorded checkpoints, with keys/ among them"
    )
    parser.add_argument("--rounds", type=int, default=2, help="copies and exports of each checkpoint")
    parser.add_argument(
        "--scratch", type=Path, default=None, help="a folder on a disk with room; the default is TMPDIR"
    )
    parser.add_argument("--family", action="append", choices=FAMILIES, help="only this one; may be repeated")
    parser.add_argument("--no-act", dest="act", action="store_false", help="leave out the full-size /act")
    return parser.parse_args()


def _copied(source: Path, target: Path) -> tuple[float, float]:
    """Seconds until the copy is made, and until it is on disk."""
    started = time.perf_counter()
    shutil.copyfile(source, target)
    plain_s = time.perf_counter() - started
    sync(target)
    synced_s = time.perf_counter() - started
    target.unlink()
    return plain_s, synced_s


def _exported(checkpoint: Path, repository: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "reflex_bench.exporting.export_child", str(checkpoint), str(repository), "fp16"]
    started = time.perf_counter()
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return {**measured, "process_s": time.perf_counter() - started}


if __name__ == "__main__":
    sys.exit(main())
