"""The real server with two nonce policies in its slots, each slow or broken as wanted."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from reflex.wire import SlotName
from reflex_bench.nonce_policy import Fault, set_behaviour, write_nonce_policy
from reflex_frontend.exchange.slot_hash import slot_of
from support.nonce_server import one_process_each
from support.server import ServerProcess, running_server

__all__ = [
    "POLICIES",
    "SPLIT",
    "Policy",
    "TwoPolicies",
    "admin_environment",
    "episodes_of",
    "two_policies",
    "write_policies",
]

Policy = Literal["first", "second", "third"]
SPLIT = 50
POLICIES: Final[tuple[Policy, ...]] = ("first", "second", "third")


@dataclass(frozen=True)
class TwoPolicies:
    """`first` in slot a and `second` in slot b; `third` lies in the repository too."""

    process: ServerProcess
    folder: Path

    @property
    def port(self) -> int:
        return self.process.port

    @property
    def environment(self) -> dict[str, str]:
        """Where commands find the server's admin file."""
        return admin_environment(self.folder)

    def behave(self, policy: Policy, *, delay_ms: float = 0, fault: Fault = None) -> None:
        """From that model's next batch on."""
        set_behaviour(control_file(self.folder, policy), delay_ms=delay_ms, fault=fault)


def control_file(folder: Path, policy: str) -> Path:
    return folder / f"{policy}.json"


def admin_environment(folder: Path) -> dict[str, str]:
    return {"XDG_RUNTIME_DIR": str(folder)}


def write_policies(folder: Path) -> Path:
    """The model repository with all three."""
    repository = folder / "models"
    repository.mkdir(exist_ok=True)
    for name in POLICIES:
        write_nonce_policy(repository, name, control_file=control_file(folder, name))
    one_process_each(repository)
    return repository


@contextlib.contextmanager
def two_policies(folder: Path, *options: str, admin_port: int = 0) -> Iterator[TwoPolicies]:
    """`reflex serve --policy-a first --policy-b second --split 50 *options`."""
    repository = write_policies(folder)
    arguments = ("--model-repository", str(repository), "--no-guard", "--policy-a", "first", "--policy-b", "second")
    split = ("--split", str(SPLIT), "--admin-port", str(admin_port))
    with running_server(*arguments, *split, *options, env=admin_environment(folder)) as process:
        yield TwoPolicies(process, folder)


def episodes_of(slot: SlotName, split: int = SPLIT) -> Iterator[str]:
    """Ids of episodes that belong to a slot."""
    return (name for name in (f"episode-{number}" for number in itertools.count()) if slot_of(name, split) == slot)
