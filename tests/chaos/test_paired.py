"""What rollout costs robots: medians of /act with and without its features stay within 5 %.

A short version of `make bench-rollout`. Two equal servers without them run too: what those are apart is this machine's
noise, and the bound holds beyond it.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import httpx
import numpy as np
import pytest

from reflex_bench.observation import act_request, jpeg_base64
from reflex_bench.paired import Ratio, Target, in_turns, ratio_of_medians
from reflex_bench.rollout_bench import DEMO, MOST, Feature, features, prepare_repository
from reflex_bench.server import reflex_server
from support.load import run
from support.promise import Promise
from support.waiting import HANGS_S

pytestmark = pytest.mark.slow

ROUNDS = 100
PACE_HZ = 40.0
WITHOUT, AGAIN = "without", "without, once more"
NO_COLLECTOR = "http://127.0.0.1:9"


def all_at_once(folder: Path) -> Feature:
    """If all features together are within the bound, each alone is. The shadow can be made to hang."""
    by_name = {feature.name: feature for feature in features(folder, NO_COLLECTOR)}
    several = [by_name[name] for name in ("recording, whole images", "shadow that hangs", "API keys")]
    options = [option for feature in several for option in feature.options]
    return Feature("all", options, by_name["API keys"].headers, by_name["shadow that hangs"].begin)


def assert_all_of_it_happens(port: int) -> None:
    """What costs nothing because it does nothing proves nothing."""
    metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=HANGS_S).text
    assert re.search(r"^reflex_records_written [1-9]\d+", metrics, re.MULTILINE)
    compared = re.search(r'^reflex_shadow_total{result="compared"} (\d+)', metrics, re.MULTILINE)
    assert compared is not None
    assert int(compared[1]) > ROUNDS / 2, metrics


@pytest.fixture(scope="module")
def ratios(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Ratio]]:
    """By what the shadow does: of each server's median to that without features."""
    folder, image = tmp_path_factory.mktemp("paired"), jpeg_base64()
    repository, everything = prepare_repository(folder), all_at_once(folder)
    with contextlib.ExitStack() as stack:
        targets = []
        for feature in (Feature(WITHOUT, ()), Feature(AGAIN, ()), everything):
            served = stack.enter_context(reflex_server(repository, *DEMO, *feature.options))
            targets.append(Target(feature.name, served.port, act_request(0.25, image, headers=feature.headers)))
        answers = run(in_turns(targets, ROUNDS, PACE_HZ))
        assert_all_of_it_happens(served.port)
        everything.begin()
        beside_a_hung_one = run(in_turns(targets, ROUNDS, PACE_HZ))
    return {
        shadow: {name: ratio_of_medians(some, seconds[WITHOUT]) for name, some in seconds.items()}
        for shadow, seconds in (("answers", answers), ("hangs", beside_a_hung_one))
    }


@pytest.mark.timing
@pytest.mark.parametrize("shadow", ["answers", "hangs"])
def test_the_median_with_everything_is_within_5_percent_of_that_without(
    ratios: dict[str, dict[str, Ratio]], promise: Promise, shadow: str
) -> None:
    measured = ratios[shadow]
    noise = max(1.0, measured[AGAIN].high)
    sentence = f"/act with every rollout feature, its shadow {shadow}, costs no more than 5 % beyond noise"
    promise(sentence, measured["all"].low, at_most=MOST * noise, unit="x")


def test_a_server_that_is_a_tenth_slower_would_be_seen() -> None:
    """The measure itself, on latencies as they come from a busy machine."""
    generator = np.random.default_rng(0)
    without = 0.011 * generator.lognormal(0.0, 0.12, ROUNDS)
    slower = 1.1 * 0.011 * generator.lognormal(0.0, 0.12, ROUNDS)
    assert ratio_of_medians(slower, without).low > 1.0
    assert ratio_of_medians(without, without).value == 1.0
