"""Triton's log: the last lines kept, the harmless ones known, and the reason of a failed start picked out.

Lines of Triton look like `E1121 03:44:52.872535 5848 model_lifecycle.cc:642] "failed to load 'x' version 1: why"`; the
stubs and the loader write plain ones in between.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection

__all__ = ["TritonLog"]

KEPT_LINES = 400
TAIL_LINES = 12
DRAINED_MARK = "All models are stopped"
GRAPHS_MARK = "as CUDA graphs"
FORM = re.compile(r"^reflex: (?P<model>\S+) runs on \S+ from (?P<form>[^\s,]+), ")
SERVING_MARK = "Started GRPCInferenceService"

HEADER = re.compile(r"^(?P<level>[EWI])\d{4} [\d:.]+ +\d+ \S+\] ?")
FAILED_MODEL = re.compile(r"failed to load '(?P<model>[^']+)' version \d+: (?P<why>.*)")
LOADED_MODEL = re.compile(r"successfully loaded '(?P<model>[^']+)'")
ITS_MODEL = re.compile(r"its model (?P<model>\S+): (?P<why>.*)")
PLAIN_FAILURES = (
    re.compile(r"error while loading shared libraries: (?P<why>.*)"),
    re.compile(r"failed to start GRPC service: (?P<why>.*)"),
    re.compile(r"^error: creating server: (?P<why>.*)"),
    re.compile(r"^error: (?P<why>.*)"),
    re.compile(r"^tritonserver: (?P<why>.*)"),
    re.compile(r"^\s*what\(\):\s+(?P<why>.*)"),
)
# What Triton puts in front of a reason: its own code, then the class of a Python exception.
REASON_PREFIX = re.compile(
    r"^(?:(?:Internal|Invalid argument|Not found|Unavailable|Unsupported|Unknown|Already exists)(?: - |: )"
    r"|Failed to initialize Python stub: |TritonModelException: )"
)
# Triton and its libraries look for a GPU in any case and complain; nothing here uses one.
NO_GPU_NOISE = re.compile(r"CUDA|CudaDriver|NVML|DCGM|pinned_memory_manager|unable to create stream", re.IGNORECASE)


class TritonLog:
    """A bounded memory of the log of one process; feed it bytes as they come, ask it what went wrong."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._partial = b""
        self.serving = False
        """Whether the process has opened its gRPC port, which it does once every model is loaded."""
        self.replays_graphs = False
        """Whether a model has said that its runs are CUDA graphs."""
        self.forms: dict[str, str] = {}
        """From which file each model has said that it runs on the GPU."""
        self.drained = False
        """Whether the process, asked to stop, has answered everything that was in flight."""

    def feed(self, data: bytes) -> None:
        """Add what was read, cut anywhere."""
        *whole, self._partial = (self._partial + data).split(b"\n")
        for line in whole:
            self._add(line.decode("utf-8", errors="replace").rstrip())

    def tail(self) -> tuple[str, ...]:
        """The last telling lines: errors, warnings and whatever the stubs wrote, without the noise about GPUs."""
        return tuple([line for line in self._lines if _telling(line)][-TAIL_LINES:])

    def failure(self, models: Collection[str] | None = None) -> str | None:
        """Why the process ended, for a person, or None when the log does not say.

        That of `models` alone which failed last and has not loaded since; None: of any model.
        """
        return self._failed_model(models) or self._plain_failure()

    def _failed_model(self, models: Collection[str] | None) -> str | None:
        loaded_since = set()
        for line in reversed(self._lines):
            if loaded := LOADED_MODEL.search(line):
                loaded_since.add(loaded["model"])
            failed = FAILED_MODEL.search(line)
            if failed is None or failed["model"] in loaded_since:
                continue
            if models is None or failed["model"] in models:
                return _of_a_model(failed["model"], _clean(failed["why"]))
        return None

    def _plain_failure(self) -> str | None:
        for pattern in PLAIN_FAILURES:
            for line in self._lines:
                match = pattern.search(_without_header(line))
                if match:
                    return _clean(match["why"])
        return None

    def _add(self, line: str) -> None:
        self._lines.append(line)
        self.serving = self.serving or SERVING_MARK in line
        self.replays_graphs = self.replays_graphs or GRAPHS_MARK in line
        self.drained = self.drained or DRAINED_MARK in line
        if (found := FORM.match(line)) is not None:
            self.forms[found["model"]] = found["form"]


def _of_a_model(model: str, why: str) -> str:
    """An ensemble that runs as one model says which of its own models is to blame."""
    part = ITS_MODEL.match(why)
    return f"model '{part['model']}': {part['why']}" if part else f"model '{model}': {why}"


def _telling(line: str) -> bool:
    if not line or line[0] in "|+" or NO_GPU_NOISE.search(line):
        return False
    match = HEADER.match(line)
    return match is None or match["level"] != "I"


def _without_header(line: str) -> str:
    return HEADER.sub("", line).strip().strip('"')


def _clean(why: str) -> str:
    """Without error codes, and without the Python traceback that the stub appends after `At:`."""
    why = why.split("\\n\\nAt:")[0].strip().strip('"').strip().rstrip(";")
    while match := REASON_PREFIX.match(why):
        why = why[match.end() :]
    return why.replace("\\n", " ").strip()
