"""The process that TensorRT runs in: `python -m reflex_export.engines.worker EVENT_DESCRIPTOR`, job on stdin.

A process of its own because TensorRT can crash, takes gigabytes and cannot be interrupted: whoever started it kills it
to stop it. Stdin stays open as a lifeline: when it ends, the starter is gone, and so is this process.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import BinaryIO, Final

from pydantic import TypeAdapter

from reflex.errors import SetupError
from reflex_export.engines.compiler import BuildJob, compile_plan
from reflex_export.engines.record import LayerPrecision

__all__ = ["Event", "main"]

Event = dict[str, object]
"""One JSON line: {"phase", "fraction"}, and at the end {"precision"} or {"error", "kind"}."""
ORPHANED: Final = 3


def main() -> None:
    """Build one plan; the exit code is 0 when the last event says how it went."""
    events = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8", buffering=1)
    source = sys.stdin.buffer
    job = TypeAdapter(BuildJob).validate_json(source.readline())
    threading.Thread(target=_end_with_starter, args=(source,), daemon=True).start()

    def send(event: Event) -> None:
        events.write(json.dumps(event) + "\n")

    try:
        precision = compile_plan(job, lambda phase, fraction: send({"phase": phase, "fraction": fraction}))
    except SetupError as error:
        send({"error": str(error), "kind": type(error).__name__})
    else:
        send({"precision": TypeAdapter(LayerPrecision).dump_python(precision, mode="json")})


def _end_with_starter(source: BinaryIO) -> None:
    source.read()
    os._exit(ORPHANED)


if __name__ == "__main__":
    main()
