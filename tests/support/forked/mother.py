"""A process that has imported what servers import, and forks one for whoever asks: `starting` is the other side.

Run as a script with the descriptor of a socket to its owner, who is another process of the same tests. On it comes a
`Wanted` as JSON with the descriptor that the output goes to, and back goes who was started, and each ending. A child is
what `python -m MODULE` would be: the same path, signals, folder, environment and exit code. When the owner is gone, so
is the mother; her children are left to Linux, as those of any program are.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import runpy
import select
import signal
import socket
import sys
import tempfile
from typing import Any, Final

MODULES: Final = (
    "reflex.cli.main",
    "reflex_frontend.serve",
    "reflex_control.serve",
    "uvicorn.lifespan.off",
    "alembic.command",
    "alembic.context",
    "alembic.op",
)
LONGEST: Final = 1 << 20
"""Bytes of what is asked, which is an environment for the most part."""
OUTPUTS: Final = (1, 2)


def main(descriptor: int) -> dict[str, Any]:
    """In the mother until her owner is gone; in a child it is what was wanted, and comes back at once."""
    owner = socket.socket(fileno=descriptor)
    for name in MODULES:
        importlib.import_module(name)
    # What is there now is never garbage: a child that collected it would write to each of its pages.
    gc.freeze()
    heard, hears = socket.socketpair()
    heard.setblocking(False)
    hears.setblocking(False)
    # Ctrl-C is for whoever started her, who ends her by being gone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(hears.fileno(), warn_on_full_buffer=False)
    while True:
        ready = select.select([owner, heard], [], [])[0]
        if heard in ready:
            with contextlib.suppress(BlockingIOError):
                heard.recv(4096)
            tell_of_the_ended(owner)
        if owner in ready:
            asked, descriptors, _, _ = socket.recv_fds(owner, LONGEST, 1)
            if not asked:
                sys.exit()
            child = os.fork()
            if child == 0:
                for each in (owner, heard, hears):
                    each.close()
                wanted: dict[str, Any] = json.loads(asked)
                return wanted | {"output": descriptors[0]}
            os.close(descriptors[0])
            owner.send(json.dumps({"started": child}).encode())


def tell_of_the_ended(owner: socket.socket) -> None:
    """Every child that is over."""
    with contextlib.suppress(ChildProcessError):
        while True:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            owner.send(json.dumps({"ended": child, "code": os.waitstatus_to_exitcode(status)}).encode())


def become(wanted: dict[str, Any]) -> None:
    """What `python -m` is when it begins to run a module."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for output in OUTPUTS:
        os.dup2(wanted["output"], output)
    os.close(wanted["output"])
    for name, limit in wanted["limits"].items():
        resource.setrlimit(getattr(resource, name), limit)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    os.chdir(wanted["folder"])
    tempfile.tempdir = None
    named = wanted["environment"].get("PYTHONPATH", "")
    # The first entry is this script's folder, in whose place -m has the one that it runs in.
    sys.path[:] = [wanted["folder"], *filter(None, named.split(os.pathsep)), *sys.path[1:]]
    sys.argv = ["-m", *wanted["arguments"]]


if __name__ == "__main__":
    wanted = main(int(sys.argv[1]))
    become(wanted)
    runpy.run_module(wanted["module"], run_name="__main__", alter_sys=True)
