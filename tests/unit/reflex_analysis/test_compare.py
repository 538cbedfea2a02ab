"""Done only when it concludes where it should and declines where it should: counted over simulated experiments."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reflex.errors import SetupError
from reflex.traces.reader import TraceReader
from reflex.traces.schema import RecordLine
from reflex_analysis.compare import ALPHA, Comparison, compare, compare_values
from reflex_analysis.episodes import METRICS, EpisodeTable, read_episodes
from reflex_analysis.figures import Floats
from support.traces import Experiment, header, policy, request, write_trace

EXPERIMENTS = 200
POLICIES = {"a": policy("old"), "b": policy("new")}


def table_of(folder: Path, lines: Iterable[RecordLine]) -> EpisodeTable:
    write_trace(folder / "2026-11-21T14Z_0123abcd_1.jsonl.gz", lines)
    return read_episodes(TraceReader(folder))


def compared(folder: Path, records: Iterable[RecordLine], *metrics: str) -> Comparison:
    return compare(table_of(folder, [header(POLICIES), *records]), metrics)


def simulated(random: np.random.Generator, episodes: int, change: float) -> dict[str, tuple[Floats, Floats]]:
    """Episode means as they come: skewed latencies and smoothness, rare clamps, rarer errors. b's are `change` more."""
    return {
        "latency": (random.lognormal(2.5, 0.3, episodes), random.lognormal(2.5, 0.3, episodes) * (1 + change)),
        "jerk": (random.lognormal(-7, 0.6, episodes), random.lognormal(-7, 0.6, episodes) * (1 + change)),
        "jump": (random.gamma(4, 0.01, episodes), random.gamma(4, 0.01, episodes) * (1 + change)),
        "clamps": (random.binomial(30, 0.05, episodes) / 30, random.binomial(30, 0.05 * (1 + change), episodes) / 30),
        "errors": (random.binomial(30, 0.003, episodes) / 30, random.binomial(30, 0.003, episodes) / 30),
    }


@pytest.mark.slow
@pytest.mark.parametrize("episodes", [6, 20, 60])
def test_without_a_difference_it_declines_in_19_of_20_experiments(episodes: int) -> None:
    random = np.random.default_rng(episodes)
    wrong = sum(
        any(metric.better for metric in compare_values(simulated(random, episodes, 0.0))) for _ in range(EXPERIMENTS)
    )

    # The bound of a binomial 5 % of 200: 10, and more than 18 in one of 150 runs.
    assert wrong <= 18


def test_a_clear_difference_is_found_in_each_metric_that_has_it() -> None:
    random = np.random.default_rng(7)
    experiments = [compare_values(simulated(random, 60, 0.6)) for _ in range(EXPERIMENTS)]
    found = {
        name: sum(metric.better == "a" for experiment in experiments for metric in experiment if metric.metric == name)
        for name in METRICS
    }

    assert min(found["latency"], found["jump"]) >= 0.95 * EXPERIMENTS
    assert found["jerk"] >= 0.8 * EXPERIMENTS
    assert found["errors"] <= 0.05 * EXPERIMENTS
    assert not any(metric.better == "b" for experiment in experiments for metric in experiment[:4])


@pytest.mark.parametrize(("hashes", "same"), [(("sha256:1", "sha256:1"), True), (("sha256:1", "sha256:2"), False)])
def test_two_slots_with_one_model_are_said_to_serve_the_same_weights(
    tmp_path: Path, hashes: tuple[str, str], *, same: bool
) -> None:
    policies = {
        slot: replace(policy(slot), model_version=f"{slot}-policy@{slot * 8}", policy_hash=one)
        for slot, one in zip("ab", hashes, strict=True)
    }

    assert compare(table_of(tmp_path, [header(policies), *Experiment(1).records(12)])).same_weights is same


def test_the_weights_are_those_of_the_policies_that_are_compared(tmp_path: Path) -> None:
    """Slot a had b's weights before it was given another policy, whose header a late answer of the old one follows."""
    before = {"a": policy("one"), "b": replace(policy("two"), policy_hash="sha256:one")}
    after = {**before, "a": policy("three")}
    old, late = (request(seq, policy="one@one00000", episode_id=f"e{seq}") for seq in (1, 3))
    other = request(2, slot="b", policy="two@two00000", episode_id="e2")
    lines: list[RecordLine] = [header(before), old, other, header(after), late]
    newer = request(4, policy="three@three000", episode_id="e4")

    assert compare(table_of(tmp_path, lines)).same_weights is True
    assert compare(table_of(tmp_path, [*lines, newer])).same_weights is False


@pytest.mark.slow
def test_power_grows_with_the_episodes() -> None:
    random = np.random.default_rng(8)
    found = [
        sum(compare_values(simulated(random, episodes, 0.15))[0].better == "a" for _ in range(EXPERIMENTS))
        for episodes in (10, 40, 160)
    ]

    assert found[0] < 0.3 * EXPERIMENTS
    assert found[1] > found[0]
    assert found[2] > 0.9 * EXPERIMENTS


@pytest.mark.slow
def test_the_unit_is_the_episode_and_not_the_request(tmp_path: Path) -> None:
    """Requests of an episode are alike: taken one by one, a few episodes would look like proof. 40 whole recordings."""
    random = np.random.default_rng(9)
    wrong = 0
    for number in range(40):
        (tmp_path / str(number)).mkdir()
        levels = random.lognormal(0, 0.4, 12)
        records = [
            request(seq, slot="b" if episode % 2 else "a", policy="x@1", episode_id=f"e{episode}",
                    latency_ms=10 * float(levels[episode]) + float(random.normal(0, 0.1)))
            for seq, (episode, _) in enumerate(itertools.product(range(12), range(12)), 1)
        ]  # fmt: skip
        wrong += compared(tmp_path / str(number), records, "latency").conclusive
    assert wrong <= 6  # 5 % of 40 is 2; by requests it would be about 25


def test_a_whole_recording_with_a_known_difference_is_concluded(tmp_path: Path) -> None:
    found = compared(tmp_path, Experiment(1, b_slower=1.5).records(60))
    latency = next(metric for metric in found.metrics if metric.metric == "latency")

    assert latency.better == "a"
    assert latency.found is not None
    assert latency.found.low <= 6 <= latency.found.high  # 12 ms a half slower
    assert found.conclusive
    assert "a (a-policy@aaaaaaaa) is better than b in latency (+48%, between" in found.conclusion


def test_a_whole_recording_without_a_difference_is_not_concluded(tmp_path: Path) -> None:
    found = compared(tmp_path, Experiment(3).records(40))

    assert not found.conclusive
    assert found.conclusion.startswith("The data allow no conclusion from 20 episodes of a and 20 of b")
    assert "more episodes in each slot would tell" in found.conclusion


def test_the_number_of_further_episodes_is_about_right(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    small = simulated(random, 12, 0.25)["latency"]
    metric = compare_values({"latency": small})[0]
    assert metric.better is None
    assert metric.more_episodes is not None

    enough = 12 + metric.more_episodes
    shift = 1 + metric.found.difference / metric.found.mean_a if metric.found else 1
    found = sum(
        compare_values({"latency": (random.lognormal(2.5, 0.3, enough), random.lognormal(2.5, 0.3, enough) * shift)})[0]
        .better is not None
        for _ in range(EXPERIMENTS)
    )  # fmt: skip
    assert found >= 0.6 * EXPERIMENTS


def test_too_few_episodes_are_said_to_be_too_few(tmp_path: Path) -> None:
    found = compared(tmp_path, Experiment(1, b_slower=9.0).records(8))

    assert not found.conclusive
    assert "takes at least 5 in each slot" in found.conclusion
    assert all(metric.found is None for metric in found.metrics)


@pytest.mark.slow
def test_one_metric_alone_needs_less_than_five(tmp_path: Path) -> None:
    records = list(Experiment(5, b_slower=1.08).records(80))
    alone = compared(tmp_path, records, "latency").metrics[0]
    among_all = compared(tmp_path, records).metrics[0]

    assert alone.p_corrected is not None
    assert among_all.p_corrected is not None
    assert alone.p_corrected < among_all.p_corrected


def test_requests_that_belong_to_no_comparison_are_left_out_and_counted(tmp_path: Path) -> None:
    odd = [
        request(9001, episode_id=None),
        request(9002, routing_degraded=True),
        request(9003, policy="older@1", at=1.0),
    ]

    found = compared(tmp_path, [*odd, *Experiment(1).records(20)])

    assert found.excluded == {
        "without an episode id": 1, "routed to the other slot": 1, "of a policy that was replaced": 1,
    }  # fmt: skip
    assert (found.episodes_a, found.episodes_b) == (10, 10)


@pytest.mark.parametrize("reduced", [[0], [119], [0, 60, 119], range(120)])
def test_answers_with_fewer_steps_count_for_their_slot_and_are_told(tmp_path: Path, reduced: Iterable[int]) -> None:
    """`--slo-mode degrade` lets a variant answer at times: the slot's policy is that of the header all the same."""
    records = list(Experiment(1).records(20))
    version = {slot: each.model_version for slot, each in POLICIES.items()}
    records = [replace(record, policy=version[record.slot]) for record in records]
    for index in reduced:
        variant = f"{records[index].slot}_s4@1"
        records[index] = replace(records[index], policy=variant, denoising_steps=None if index == 60 else 4)
    by_slot = Counter(records[index].slot for index in reduced)

    found = compared(tmp_path, records)

    assert (found.policy_a, found.policy_b) == (version["a"], version["b"])
    assert (found.episodes_a, found.episodes_b, found.excluded) == (10, 10, {})
    assert (found.reduced_a, found.reduced_b) == (by_slot["a"], by_slot["b"])


def test_the_policy_of_the_last_header_counts_though_an_old_one_answers_late(tmp_path: Path) -> None:
    newer = POLICIES | {"a": policy("newer")}
    old = [request(seq, policy="old@old00000", episode_id=f"e{seq}") for seq in range(1, 4)]
    new = [request(seq, policy="newer@newer000", episode_id=f"e{seq}") for seq in range(4, 9)]
    late = [request(9, policy="old@old00000"), request(10, policy="old_s4@1", denoising_steps=4)]
    variant = [request(11, policy="old_s4@1", denoising_steps=4)]

    table = table_of(tmp_path, [header(POLICIES), *old, variant[0], header(newer), *new, *late])

    assert (table.slots["a"].policy, table.slots["a"].episodes, table.slots["a"].reduced) == ("newer@newer000", 5, 0)
    assert table.excluded == {"of a policy that was replaced": 6}


def test_a_policy_whose_header_was_damaged_is_no_variant(tmp_path: Path) -> None:
    unnamed = [request(seq, policy="unnamed@1", episode_id=f"e{seq}") for seq in range(2, 7)]

    table = table_of(tmp_path, [header(POLICIES), request(1, policy="old@old00000"), *unnamed])

    assert (table.slots["a"].policy, table.slots["a"].reduced) == ("unnamed@1", 0)
    assert table.excluded == {"of a policy that was replaced": 1}


def test_a_recording_of_one_slot_says_how_two_are_recorded(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"no episodes of slot b.*--policy-b"):
        compared(tmp_path, [request(1)])


def test_client_mistakes_are_not_held_against_a_policy(tmp_path: Path) -> None:
    records = [
        request(seq, slot="b" if seq % 2 else "a", policy="x@1", episode_id=f"e{seq}",
                status=422 if seq % 2 else 200, error="state_dim_mismatch" if seq % 2 else None)
        for seq in range(1, 41)
    ]  # fmt: skip

    (errors,) = compared(tmp_path, records, "errors").metrics

    assert errors.found is not None
    assert errors.found.mean_b == 0


def test_alpha_is_what_the_page_says() -> None:
    assert ALPHA == 0.05
