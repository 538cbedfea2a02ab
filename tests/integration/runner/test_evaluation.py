"""`reflex eval` against the real server and the real simulator: the same seeds go the same way, and are told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Literal

import pytest
from typer.testing import CliRunner

import reflex
from reflex.cli import app
from reflex_bench.in_process.lerobot_act import ActServer, Asked
from support.outside.drawing import skip_without_pictures
from support.server import ServerProcess, running_server
from support.waiting import HANGS_S

FEW = ("--seeds", "10000:10002", "--max-steps", "20", "--picture-px", "48")


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    skip_without_pictures()
    with running_server("--policy", "sim_demo") as started:
        yield started


@pytest.mark.slow
def test_a_served_policy_does_the_same_on_the_same_seeds(server: ServerProcess) -> None:
    asked = ["eval", "--url", server.base_url, "--against", server.base_url, "--instruction", "pick up the cube"]
    went = CliRunner().invoke(app, [*asked, *FEW, "--json"])
    assert went.exit_code == 0, went.output
    told = json.loads(went.stdout)
    assert told["policy"].startswith("sim_demo@")
    assert (told["played"], told["successes"]) == (2, 0), "it is untrained"
    assert [(each["steps"], each["endedBy"]) for each in told["episodes"]] == [(20, "max_steps")] * 2
    assert all(each["latencyMs"]["p50"] > 0 for each in told["episodes"])
    assert told["episodes"][0]["fingerprint"] != told["episodes"][1]["fingerprint"]
    assert (told["against"]["pairs"], told["against"]["identical"]) == (2, 2), "the noise is drawn from the seed"
    assert told["settings"]["hardware"]["cameras"] == {"front": "front", "wrist": "wrist"}


class Still:
    """Answers that the arm stays where it is; says nothing of its cameras, as a program of somebody's own may."""

    cameras = ("front",)
    state_dim = 6

    def chunk(self, asked: Asked) -> list[list[float]]:
        assert asked.pictures["front"].shape == (64, 64, 3)
        return [asked.state.tolist()] * 8


@pytest.mark.slow
def test_a_program_that_names_no_cameras_sees_those_of_the_policy_that_it_is_compared_with() -> None:
    skip_without_pictures()
    with running_server("--policy", "pick_up_the_cube") as server, ActServer(Still()) as still:
        thread = threading.Thread(target=still.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            report = reflex.evaluate(server.base_url, against=still.url, seeds=(10_000,), max_steps=70, picture_px=64)
        finally:
            still.shutdown()
            thread.join(HANGS_S)
    assert report.errors == ()
    assert report.against is not None
    assert (report.evaluation.successes, report.against.second.successes) == (1, 0)
    told = [each.settings["hardware"]["cameras"] for each in (report.evaluation, report.against.second)]
    assert told == [{"front": "front"}] * 2


@pytest.mark.slow
@pytest.mark.parametrize("what", ["image", "image=other", "state", "state=other", "instruction"])
def test_what_is_taken_from_a_policy_that_listens_changes_what_it_does(server: ServerProcess, what: str) -> None:
    report = reflex.evaluate(
        server.base_url, seeds=(1, 2), instruction="pick up the cube", ablate=[what], max_steps=10, picture_px=48
    )
    assert report.errors == ()
    assert report.ablations[0].identical == 0


@pytest.mark.slow
def test_raw_pictures_are_the_same_whichever_way_they_go(server: ServerProcess) -> None:
    def fingerprint(kind: Literal["act", "openpi"], *, raw: bool) -> str:
        report = reflex.evaluate(
            server.base_url, seeds=(1,), instruction="pick", kind=kind, raw=raw, max_steps=10, picture_px=48
        )
        assert report.errors == ()
        return str(report.evaluation.episodes[0].fingerprint)

    assert fingerprint("act", raw=True) == fingerprint("openpi", raw=True)
    assert fingerprint("act", raw=True) != fingerprint("act", raw=False)


@pytest.mark.slow
def test_the_expert_picks_the_cube_up_and_listens_to_the_state_alone() -> None:
    skip_without_pictures()
    report = reflex.evaluate(
        seeds=(10_000, 10_001), kind="expert", ablate=["image", "state"], max_steps=80, picture_px=48
    )
    assert report.evaluation.rate == 1.0
    images, state = report.ablations
    assert (images.second.rate, images.identical) == (1.0, 2)
    assert (state.second.rate, state.first_only) == (0.0, (10_000, 10_001))
