"""A set-up with a fault, diagnosed, and whether the fault is what it names first."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from reflex.client import ReflexClient
from reflex_learning.diagnosis.diagnosing import Plan, diagnose
from reflex_learning.diagnosis.report import Diagnosis
from reflex_runner.simulation.axes import SIMULATED
from support.datasets.writing import write
from support.diagnosis.answering import client_of
from support.diagnosis.breaking import Fault, Recorded, hold_to
from support.diagnosis.faults import Setup
from support.diagnosis.fitted import write_fitted_policy
from support.diagnosis.shipped import Shipped, serving
from support.diagnosis.shipped_answering import shipped_client_of
from support.server import running_server

__all__ = ["diagnosed", "diagnosed_shipped", "is_named", "written"]


def diagnosed(fault: Fault, setup: Setup, folder: Path, *, served: bool = False) -> Diagnosis:
    """By a server without a socket, or by a real one; the set-up is changed."""
    fault.do(setup)
    root, plan = written(setup, folder / "dataset"), Plan(instruction=setup.instruction)
    if served:
        return _by_server(setup, folder, root, plan)
    with client_of(setup.fitted, setup.mode, setup.robot, setup.latency_s, setup.executed) as client:
        return diagnose(client, "in process", root, plan)


def diagnosed_shipped(fault: Fault, setup: Shipped, folder: Path, url: str | None = None, seed: int = 0) -> Diagnosis:
    """In this process, or by the server at `url`, or one of its own where the fault is the server's."""
    fault.do(setup)
    root, plan = written(setup, folder / "dataset"), Plan(seed=seed, instruction=setup.instruction)
    with ExitStack() as stack:
        if url is None:
            return diagnose(stack.enter_context(shipped_client_of(setup, folder)), "in process", root, plan)
        address = stack.enter_context(serving(setup, folder)) if setup.is_served_otherwise else url
        client = stack.enter_context(ReflexClient(address, deadline_s=60.0))
        return diagnose(client, address, root, plan)


def written(setup: Recorded, root: Path) -> Path:
    """The dataset on disk."""
    setup.draft.sum_up()
    setup.draft.info.update({"robot_type": setup.robot.name} | setup.meta)
    return write(setup.draft, root)


def _by_server(setup: Setup, folder: Path, root: Path, plan: Plan) -> Diagnosis:
    write_fitted_policy(folder / "repository", setup.fitted, mode=setup.mode, executed=setup.executed)
    options = ["--model-repository", str(folder / "repository"), "--policy", "fitted"]
    if setup.robot is not SIMULATED:
        hold_to(setup.robot, folder / "repository" / "fitted")
    if setup.latency_s:
        options += ["--inject-latency-ms", f"{1000 * setup.latency_s:g}"]
    with running_server(*options) as server, ReflexClient(server.base_url, deadline_s=10.0) as client:
        return diagnose(client, server.base_url, root, plan)


def is_named(fault: Fault, diagnosis: Diagnosis) -> bool:
    """As the first line; a healthy one has none."""
    first = [finding.kind for finding in diagnosis.findings[:1]]
    return not first if not fault.named else first != [] and first[0] in fault.named
