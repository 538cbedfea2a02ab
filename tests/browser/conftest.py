"""One laboratory, its dashboard and one Chromium, for all tests of the pages."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from browser.hands import Hands
from support.outside.browser import running_browser
from support.outside.control_plane import ControlProcess, Tenant, prepared_store, running_control
from support.outside.lab import PASSED, PER_BEAT, Lab
from support.outside.training_lab import TrainingLab
from support.outside.visitor import UNHURRIED

BEAT_EVERY_S: Final = 2.0


@dataclass(frozen=True)
class Dashboard:
    """`robot_id` is driven in `session_id` and beats; `paths` are the pages by name."""

    control: ControlProcess
    lab: Lab
    hands: Hands
    robot_id: str
    session_id: str
    paths: dict[str, str]

    def fresh(self) -> tuple[str, str, str]:
        """A robot that may be moved, its name, and its session in dry_run."""
        name = f"arm {next(self.lab.names)}"
        robot_id, deployment_id = self.lab.robot(name, paired=True), self.lab.deployment(f"pick {name}")
        self.lab.doctor(deployment_id, PASSED)
        session_id = self.lab.session(deployment_id, robot_id)
        self.lab.beat(robot_id, session_id, steps=60)
        return robot_id, name, session_id


@contextmanager
def beating(lab: Lab, robot_id: str, session_id: str) -> Iterator[None]:
    """The robot's heart beats meanwhile, so that its session lives."""
    ended = threading.Event()

    def beat() -> None:
        steps = 41 * PER_BEAT
        while not ended.wait(BEAT_EVERY_S):
            steps += 40
            lab.beat(robot_id, session_id, steps=steps, guard_violations=3, latency_ms=60.5, calibration_id="cal-7f3a")

    thread = threading.Thread(target=beat)
    thread.start()
    yield
    ended.set()
    thread.join()


def furnished(tenant: Tenant, control: ControlProcess, hands: Hands) -> Dashboard:
    """Datasets and runs; three robots, of which one is driven and one was; three deployments, each in another state."""
    lab = Lab(tenant)
    trained = TrainingLab(lab).furnished()
    robot_id = lab.robot("bench-arm-left", "cal-7f3a", paired=True)
    other, _idle = lab.robot("bench-arm-right", paired=True), lab.robot("mobile-base")
    kitchen, pick_cup, _new = (
        lab.deployment("kitchen"),
        lab.deployment("pick-cup", url="http://127.0.0.1:9"),
        lab.deployment("sort-bolts"),
    )
    lab.doctor(kitchen, PASSED)
    control.ask("POST", f"/v1/deployments/{pick_cup}/doctor", lab.key.secret)
    ended = lab.driven(kitchen, other, 30, violations=1)
    lab.close(ended, "the gripper slips")
    session_id = lab.driven(kitchen, robot_id, 41, violations=3, ago_s=10)
    paths = {
        "session": f"/sessions/{session_id}", "overview": "/", "deployments": "/deployments",
        "deployment": f"/deployments/{pick_cup}", "sessions": "/sessions", "ended-session": f"/sessions/{ended}",
        "robots": "/robots", "robot": f"/robots/{robot_id}", "datasets": "/datasets", "training": "/training",
        "run": f"/training/{trained.runs['running']}",
        "receipts": "/receipts", "keys": "/keys",
        "device": "/device",
    }  # fmt: skip
    return Dashboard(control, lab, hands, robot_id, session_id, paths)


@pytest.fixture(scope="package")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    folder: Path = tmp_path_factory.mktemp("dashboard")
    with (
        prepared_store(folder / "data") as (ours, _),
        running_control(folder / "data", *UNHURRIED) as control,
        running_browser(folder) as browser,
    ):
        made = furnished(ours, control, Hands(browser, control.base_url))
        with beating(made.lab, made.robot_id, made.session_id):
            yield made


@pytest.fixture
def hands(dashboard: Dashboard) -> Iterator[Hands]:
    """Signed in with a key that may everything, on a wide and light screen; whatever was asked for was the server's."""
    dashboard.hands.browser.resize(1200)
    dashboard.hands.sign_in(dashboard.lab.key.secret)
    yield dashboard.hands
    dashboard.hands.may_run_scripts(allowed=True)
    strange = [url for url in dashboard.hands.browser.requests if not url.startswith(dashboard.control.base_url)]
    assert strange == []
    assert dashboard.hands.browser.complaints == []
