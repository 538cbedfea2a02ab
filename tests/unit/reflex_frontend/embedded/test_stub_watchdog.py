"""The watchdog ends a stub with its tritonserver; played here by two plain Python processes."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

from reflex_frontend.embedded import layout

WATCHDOG = layout.OWN_BACKENDS / "python"
STUB = "import reflex_stub_watchdog, time; print('watching', flush=True); time.sleep(60)"
TRITON = f"""
import os, subprocess, sys, time
os.environ['REFLEX_TRITON_PID'] = str(os.getpid())
subprocess.Popen([sys.executable, '-c', {STUB!r}])
time.sleep(60)
"""


def _environment(prefix: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(WATCHDOG), "REFLEX_SHM_PREFIX": prefix}


def test_a_stub_ends_with_a_killed_triton_that_nobody_has_reaped_and_removes_its_memory() -> None:
    prefix = f"reflex-test-{uuid.uuid4().hex}_"
    region = Path("/dev/shm") / f"{prefix}region"
    region.write_bytes(b"x")
    try:
        with subprocess.Popen(
            [sys.executable, "-c", TRITON], env=_environment(prefix), stdout=subprocess.PIPE
        ) as triton:
            assert triton.stdout is not None
            assert triton.stdout.readline() == b"watching\n"
            os.kill(triton.pid, 9)
            assert triton.stdout.read() == b""  # ends when the stub does; the zombie is collected only after this
        assert not region.exists()
    finally:
        region.unlink(missing_ok=True)


def test_a_stub_born_after_its_triton_ended_does_not_live() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    environment = _environment(f"reflex-test-{uuid.uuid4().hex}_") | {"REFLEX_TRITON_PID": str(ended.pid)}
    stub = subprocess.run([sys.executable, "-c", STUB], env=environment, capture_output=True, timeout=10, check=False)
    assert (stub.returncode, stub.stdout) == (1, b"")
