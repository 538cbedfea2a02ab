"""One `reflex export` in a process of its own, which says what it took.

    python -m reflex_bench.exporting.export_child CHECKPOINT REPOSITORY PRECISION [STEPS]

Prints one JSON object: seconds from the call to the published policy, and how far the resident memory rose above that
of the interpreter with everything imported. The kernel keeps the peak per address space: a parent's does not count.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
import time
from pathlib import Path
from typing import cast

from reflex.export_options import ExportOptions, Precision
from reflex_export.commands.export import export_command

__all__ = ["main"]

FAMILIES = ("act", "diffusion", "pi0", "pi05", "smolvla")


def main(checkpoint: str, repository: str, precision: str, steps: str = "") -> int:
    for family in FAMILIES:
        importlib.import_module(f"reflex_export.families.{family}")
    before, started = _memory_bytes("VmRSS"), time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        code = export_command(
            checkpoint,
            ExportOptions(
                Path(repository),
                "full",
                embodiment="so101",
                precision=cast("Precision", precision),
                steps=(int(steps),) if steps else (),
                untrained=True,
                check=False,
            ),
            as_json=True,
        )
    seconds = time.perf_counter() - started
    peak = _memory_bytes("VmHWM")
    print(json.dumps({"code": code, "seconds": seconds, "bare_bytes": before, "peak_above_bare_bytes": peak - before}))
    return code


def _memory_bytes(field: str) -> int:
    """A line of this process's status, which counts in kB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
