"""What a server owns besides itself: Triton's process group, shared memory regions, its Triton's address."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from reflex_frontend.embedded.cleanup import owner_prefix
from support.leftovers import living_of_group, regions
from support.server import ServerProcess

__all__ = ["Belongings", "belongings", "client_connections"]


@dataclass(frozen=True)
class Belongings:
    """Of one run of the embedded Triton. The group's id is tritonserver's process id."""

    group: int
    prefix: str
    regions: frozenset[str]

    def left(self) -> list[str]:
        """What of it is still there, in words."""
        processes = [f"process {pid}" for pid in living_of_group(self.group)]
        return processes + [f"region {name}" for name in self.regions & regions(self.prefix)]

    def left_of_any_run(self) -> list[str]:
        """What is still there of this run, or of any other run that the same frontend started."""
        return self.left() + [f"region {name}" for name in regions(self.prefix)]


def belongings(server: ServerProcess) -> Belongings:
    """Of the Triton that runs now."""
    prefix = owner_prefix(server.process.pid)
    return Belongings(group=server.triton().pid, prefix=prefix, regions=regions(prefix))


def client_connections(server: ServerProcess) -> int:
    """How many connections of clients the frontend holds."""
    held = psutil.Process(server.process.pid).net_connections("tcp")
    return sum(1 for one in held if one.laddr.port == server.port and one.raddr)
