"""How many arenas glibc makes is told by glibc itself: malloc_info(3)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.waiting import HANGS_S

THREADS = 16
PROGRAM = f"""
import ctypes, threading
from reflex.serving.memory import share_memory

def allocate(at_once):
    at_once.wait()
    held = libc.malloc(100_000)
    at_once.wait()
    libc.free(ctypes.c_void_p(held))

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fdopen.restype = ctypes.c_void_p
assert {{asked}} is False or share_memory()
at_once = threading.Barrier({THREADS})
threads = [threading.Thread(target=allocate, args=(at_once,)) for _ in range({THREADS})]
for each in threads: each.start()
for each in threads: each.join()
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


@pytest.mark.parametrize("asked", [True, False])
def test_many_threads_share_two_arenas(asked: bool) -> None:
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(asked=asked)], capture_output=True, text=True, check=True, timeout=HANGS_S
    ).stdout

    arenas = told.count("<heap nr=")
    assert arenas <= 2 if asked else arenas > 2, told
