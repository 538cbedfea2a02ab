"""`reflex` as a child that does not outlive its parent: python -m reflex.cli.up.bound PARENT ARGUMENTS...

Whatever becomes of the parent, kill -9 too, this process then gets the SIGTERM at which every server of Reflex drains.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
from typing import Final

__all__ = ["end_with"]

PR_SET_PDEATHSIG: Final = 1
"""From <linux/prctl.h>."""


def end_with(parent: int) -> None:
    """Have this process told when the one of this id, which started it, is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it went before the kernel knew
        sys.exit("reflex: what started this is gone")


if __name__ == "__main__":
    end_with(int(sys.argv.pop(1)))
    runpy.run_module("reflex.cli", run_name="__main__")
