"""A Kubernetes Service in small: one port, and connections to it shared among the pods that are ready.

As with kube-proxy, a pod is chosen for a connection, not for a request, and what is connected stays so. A pod gets
connections while its /health is 200; of a pod that is to end, the Service hears late.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, cast

import httpx

__all__ = ["Pod", "Service"]

PROBE_PERIOD_S: Final = 0.1
REMOVAL_DELAY_S: Final = 0.7
"""From the moment that a pod is told to end until no new connection goes to it: kube-proxy's is 0.5 to 1 s."""


@dataclass
class Pod:
    """One server behind the Service."""

    port: int
    is_ready: bool = False
    is_ending: bool = False
    model_version: str = ""
    """As /health says it."""
    broken: int = 0
    """Connections that ended, or never came about, while a client waited for an answer."""

    async def probe(self, http: httpx.AsyncClient) -> None:
        """As a kubelet does."""
        is_ready = False
        with contextlib.suppress(httpx.TransportError):
            answer = await http.get(f"http://127.0.0.1:{self.port}/health", timeout=2)
            is_ready = answer.status_code == 200
            self.model_version = answer.json()["model_version"]
        if not self.is_ending:
            self.is_ready = is_ready


@dataclass
class Service:
    """Use `serving()`, connect to `port`."""

    port: int = 0
    pods: list[Pod] = field(default_factory=list)
    _turns: itertools.count[int] = field(default_factory=itertools.count)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listens, and probes the pods."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _ClientSide(self.next_pod()), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        probing = asyncio.create_task(self._probe_all())
        try:
            yield
        finally:
            probing.cancel()
            server.close()

    def add(self, port: int) -> Pod:
        """A pod that gets connections as soon as it is ready."""
        pod = Pod(port)
        self.pods.append(pod)
        return pod

    async def remove(self, pod: Pod) -> None:
        """New connections go elsewhere from `REMOVAL_DELAY_S` on, and not earlier for what /health says meanwhile."""
        pod.is_ending = True
        await asyncio.sleep(REMOVAL_DELAY_S)
        self.pods.remove(pod)

    async def wait_ready(self, pod: Pod, timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            while not pod.is_ready:  # noqa: ASYNC110 - it is a poll that is waited for
                await asyncio.sleep(PROBE_PERIOD_S / 4)

    def next_pod(self) -> Pod | None:
        ready = [pod for pod in self.pods if pod.is_ready]
        return ready[next(self._turns) % len(ready)] if ready else None

    async def _probe_all(self) -> None:
        # A connection for each probe, as a kubelet makes: none of them keeps a pod from ending.
        async with httpx.AsyncClient(headers={"Connection": "close"}, trust_env=False, verify=False) as http:
            while True:
                await asyncio.gather(*(pod.probe(http) for pod in self.pods if not pod.is_ending))
                await asyncio.sleep(PROBE_PERIOD_S)


class _Side(asyncio.Protocol):
    """One end of a forwarded connection; `peer` writes to the other."""

    transport: asyncio.Transport
    peer: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's class is no subclass of it

    def connection_lost(self, _exc: Exception | None) -> None:
        if self.peer is not None:
            self.peer.close()


class _PodSide(_Side):
    """Towards the server; notes a connection that ends between a request and its answer."""

    def __init__(self, pod: Pod, client: asyncio.Transport) -> None:
        self.pod = pod
        self.client = self.peer = client
        self.is_asked = False

    def ask(self, data: bytes) -> None:
        self.is_asked = True
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        self.is_asked = False
        self.client.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.pod.broken += self.is_asked and not self.client.is_closing()
        super().connection_lost(exc)


class _ClientSide(_Side):
    """Towards the robot; what it sends before the pod has taken the connection is kept."""

    def __init__(self, pod: Pod | None) -> None:
        self.pod = pod
        self._pod_side: _PodSide | None = None
        self._early = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.pod is None:
            self.transport.abort()  # a Service without endpoints refuses
        else:
            self._connecting = asyncio.create_task(self._connect(self.pod))

    def data_received(self, data: bytes) -> None:
        if self._pod_side is None:
            self._early += data
        else:
            self._pod_side.ask(data)

    async def _connect(self, pod: Pod) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, side = await loop.create_connection(lambda: _PodSide(pod, self.transport), "127.0.0.1", pod.port)
        except ConnectionError:
            pod.broken += 1
            self.transport.abort()
            return
        self._pod_side, self.peer = side, side.transport
        if self.transport.is_closing():
            side.transport.close()
        elif self._early:
            side.ask(bytes(self._early))
