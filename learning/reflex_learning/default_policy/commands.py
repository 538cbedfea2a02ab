"""Commands of `reflex`, in processes of their own whose progress people see, and a server while it is needed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import httpx

from reflex.processes.family import Family
from reflex.serving.listener import listen, url_of
from reflex_learning.errors import TrainingError
from reflex_learning.training.child import Child, Outlets
from reflex_learning.training.text import TrainerText

__all__ = ["Reflex", "answering", "reflex_json", "served"]

Reflex = Callable[..., dict[str, Any]]
"""Runs one command with these arguments, and gives its JSON."""
READY_S: Final = 120.0
LOOK_S: Final = 0.2
ASK_S: Final = 2.0
KEPT: Final = 20
OK: Final = 200


def reflex_json(*arguments: str) -> dict[str, Any]:
    """What it printed as `--json`; `TrainingError` has the words of one that failed. Ctrl-C reaches it as well."""
    argv = [sys.executable, "-m", "reflex.cli", *arguments, "--json"]
    ended = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)  # noqa: S603  # our own
    answer = _object_of(ended.stdout)
    if ended.returncode != 0:
        words = answer.get("message") or "its words are above"
        raise TrainingError(f"`reflex {arguments[0]}` ended with {ended.returncode}: {words}; run this again to go on")
    return answer


@contextlib.contextmanager
def served(repository: Path, policy: str) -> Iterator[str]:
    """The address of a server of that policy on this computer, until the end."""
    words = ["serve", "--model-repository", str(repository), "--policy", policy, "--port"]
    with answering(lambda port: [sys.executable, "-m", "reflex.cli", *words, port]) as url:
        yield url


@contextlib.contextmanager
def answering(command: Callable[[str], Sequence[str]], within_s: float = READY_S) -> Iterator[str]:
    """The address of what that command for a port starts, until the end; it is ready when it answers `GET /health`."""
    with listen("127.0.0.1", 0) as free:
        url = url_of(free)
    family, said = Family(), list[str]()
    family.watch()
    try:
        child = _child(command(url.rpartition(":")[2]), family, said)
        try:
            _wait(child, url, said, within_s)
            yield url
        finally:
            child.end()
    finally:
        family.end()


def _child(argv: Sequence[str], family: Family, said: list[str]) -> Child:
    text = TrainerText(0)

    def hear(piece: bytes) -> None:
        said.extend(text.feed(piece) if piece else text.end())
        del said[:-KEPT]

    return Child(argv, family.environment(""), Path.cwd(), family, Outlets(hear, hear))


def _wait(child: Child, url: str, said: Sequence[str], within_s: float) -> None:
    end = time.monotonic() + within_s
    while not _is_ready(url):
        if child.wait(LOOK_S) is not None or time.monotonic() > end:
            raise TrainingError(f"the policy's server does not get ready; it said last: {' / '.join(said)[-1000:]}")


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=ASK_S, trust_env=False).status_code == OK
    except httpx.TransportError:
        return False


def _object_of(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
