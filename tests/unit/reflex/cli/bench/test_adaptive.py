"""`reflex bench adaptive` from a recording to the verdict, on servers whose answers and velocities are made up."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from docs.documents import REPOSITORY
from reflex.cli import app
from reflex.embodiments import load_embodiment
from reflex.model_repository import CONFIG_FILE
from reflex.traces.schema import ImageRecord
from support.motion.server import MotionServer, motion_server
from support.traces import header, request, write_trace

RUNNER = CliRunner()
BEND = 0.01
FRANKA = load_embodiment("franka")
RANGE = min(high - low for low, high in zip(FRANKA.action_low, FRANKA.action_high, strict=True))
ERROR = 0.025 * RANGE
"""By which the fewer steps miss on each axis: too much on the smallest one."""
SEEN: dict[str, list[dict[str, Any]]] = {}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Only what the command reads by itself: the configurations of two variants."""
    for name, steps in {"demo": 10, "demo-5steps": 5}.items():
        (tmp_path / "models" / name).mkdir(parents=True)
        config = json.loads((REPOSITORY / "model_repository/demo" / CONFIG_FILE).read_bytes())
        config |= {"policy_id": name, "denoising_steps": steps}
        (tmp_path / "models" / name / CONFIG_FILE).write_text(json.dumps(config))
    return tmp_path / "models"


@pytest.fixture(autouse=True)
def _served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variant is a server in this process."""
    SEEN.clear()

    @contextlib.contextmanager
    def served(_repository: Path, *, policy: str, guard: bool, also: tuple[str, ...]) -> Iterator[str]:
        assert (guard, also) == (False, ("--tell-velocity-change",))
        steps = 10 if policy == "demo" else 5
        actions = [[0.1 + (ERROR if steps == 5 else 0.0)] * 7] * 50
        server: MotionServer
        with motion_server(actions=actions, velocity_change=[0.0] + [BEND / steps] * (steps - 1)) as server:
            yield server.url
            SEEN[policy] = server.bodies

    monkeypatch.setattr("reflex_analysis.adaptive.observed.served_repository", served)


def bench(recording: Path, repository: Path, *options: str) -> Result:
    return RUNNER.invoke(app, ["bench", "adaptive", str(recording), "--repository", str(repository), *options])


def recorded(folder: Path, *changed: dict[str, Any]) -> Path:
    changes = changed or ({},) * 9
    records = [request(number + 1, **each) for number, each in enumerate(changes)]
    return write_trace(folder / "2026-01-01T00Z_0123abcd_0.jsonl.gz", [header(), *records])


@pytest.mark.slow
def test_every_variant_is_asked_the_same_with_the_same_noise_and_the_curve_is_told(
    repository: Path, tmp_path: Path
) -> None:
    plot = tmp_path / "curve.png"
    ended = bench(recorded(tmp_path), repository, "--tolerances", "0.05,0.00001", "--plot", str(plot))

    assert ended.exit_code == 0, ended.output
    assert "demo@" in ended.stdout.splitlines()[0]
    assert "(untrained: its numbers say nothing of a policy at work)" in ended.stdout
    assert "not reached: at no tolerance" in ended.stdout, "an axis misses by 2.5 %"
    assert plot.is_file()
    asked = [[(body["seed"], body["state"]) for body in bodies] for bodies in SEEN.values()]
    assert asked[0] == asked[1]
    assert [seed for seed, _ in asked[0]] == list(range(1, 10))


def test_json_has_the_curve(repository: Path, tmp_path: Path) -> None:
    found = json.loads(bench(recorded(tmp_path), repository, "--tolerances", "0.05", "--json").stdout)

    (point,) = found["rule"]
    assert (point["taken"], found["observations"], found["episodes"]) == ({"10": 3, "5": 6}, 9, 1)
    assert point["error"] == pytest.approx(0.025, rel=1e-3)
    assert not found["reached"]


def test_what_cannot_be_asked_is_counted_by_its_reason(repository: Path, tmp_path: Path) -> None:
    hashed = {"wrist": ImageRecord("sha256:0", 8, 8, "jpeg", None)}
    folder = recorded(tmp_path, {"status": 500, "error": "inference_failed"}, {"images": hashed}, {})
    found = json.loads(bench(folder, repository, "--json").stdout)

    assert found["observations"] == 1
    assert sorted(found["skipped"].values()) == [1, 1]


def test_nothing_that_can_be_used_is_one_sentence(repository: Path, tmp_path: Path) -> None:
    ended = bench(recorded(tmp_path, {"status": 500, "error": "inference_failed"}), repository)

    assert ended.exit_code == 1
    assert "could be used: 1 because it was answered with an error" in " ".join(ended.stderr.split())


def test_one_step_count_alone_is_refused_before_anything_is_served(repository: Path, tmp_path: Path) -> None:
    shutil.rmtree(repository / "demo-5steps")
    ended = bench(recorded(tmp_path), repository, "--json")

    assert ended.exit_code == 1
    assert "nothing to choose from; export it again with --steps 10 --steps 5" in json.loads(ended.stdout)["message"]
    assert not SEEN


def test_several_policies_need_a_name(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "demo", repository / "other")
    config = json.loads((repository / "other" / CONFIG_FILE).read_text())
    changes = {"policy_id": "other", "components": {"encoder": "other_encoder"}}
    (repository / "other" / CONFIG_FILE).write_text(json.dumps(config | changes))
    folder = recorded(tmp_path)

    assert "choose with --policy one of demo, demo-5steps, other" in " ".join(bench(folder, repository).stderr.split())
    assert bench(folder, repository, "--policy", "demo").exit_code == 0


@pytest.mark.parametrize("tolerances", ["much", "0,0.1", "0.1,nan", "2", ""])
def test_tolerances_that_are_none_are_wrong_usage(tolerances: str, repository: Path, tmp_path: Path) -> None:
    assert bench(recorded(tmp_path), repository, "--tolerances", tolerances).exit_code == 2
