from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from reflex_export.checkpoint import NormalizationMode, Normalizer
from reflex_export.errors import StatisticsError, UnsupportedOptionError
from reflex_export.reading.normalization import Feature, Normalization, mode_of, resolve_normalizer, with_given
from reflex_export.reading.statistics import FeatureStatistics

THREE = np.array([1.0, 2.0, 3.0], np.float32)
ACTION = Feature("action", "ACTION", (3,))
STATE = Feature("observation.state", "STATE", (3,))
ZEROS = np.zeros(3, np.float32)


def normalization(mode: str, /, kind: str = "ACTION", name: str = "action", **values: Any) -> Normalization:
    """Of one feature with these statistics; none without."""
    statistics = {name: FeatureStatistics(values, "stats.safetensors")} if values else {}
    return Normalization({kind: mode}, statistics)


def resolved(mode: str, **values: Any) -> Normalizer:
    return resolve_normalizer(normalization(mode, **values), ACTION)


@pytest.mark.parametrize("mode", ["MEAN_STD", "MIN_MAX", "QUANTILES", "QUANTILE10"])
def test_no_mode_is_inert(mode: NormalizationMode) -> None:
    for there in (normalization(mode), normalization(mode, name="armA.buffer.action", mean=THREE, std=THREE)):
        with pytest.raises(StatisticsError, match=rf"^action is normalised by {mode}, but.*no statistics.*--stats"):
            resolve_normalizer(there, ACTION)


@pytest.mark.parametrize("kind", ["STATE", "VISUAL", "ENV", "ACTION", "REWARD", "LANGUAGE"])
def test_lerobots_kinds_of_features_may_have_a_mode_and_others_not(kind: str) -> None:
    assert normalization("MEAN_STD", kind=kind).modes == {kind: "MEAN_STD"}
    with pytest.raises(UnsupportedOptionError, match=f"norm_map has '{kind.lower()}', which is no kind of feature"):
        normalization("MEAN_STD", kind=kind.lower())


def test_the_statistics_that_are_there_instead_are_named() -> None:
    values = FeatureStatistics({"mean": THREE}, "f")
    names = [f"arm{number}.buffer.action" for number in range(10)]
    found = Normalization({"ACTION": "MEAN_STD"}, dict.fromkeys(names, values))
    with pytest.raises(
        StatisticsError, match=r"only those of arm0\.buffer\.action, .*arm7\.buffer\.action and 2 more\)"
    ):
        resolve_normalizer(found, ACTION)


@pytest.mark.parametrize("modes", [{"ACTION": "IDENTITY"}, {}])
def test_identity_on_purpose_needs_no_statistics(modes: dict[str, str]) -> None:
    normalizer = resolve_normalizer(Normalization(modes), ACTION)
    assert (normalizer.mode, dict(normalizer.statistics)) == ("IDENTITY", {})


def test_an_observation_that_the_checkpoint_leaves_out_is_passed_on() -> None:
    found = dataclasses.replace(normalization("MIN_MAX", kind="STATE"), observations=frozenset({"other"}))
    assert resolve_normalizer(found, STATE).mode == "IDENTITY"


def test_what_is_said_of_observations_says_nothing_of_the_action() -> None:
    found = dataclasses.replace(normalization("MIN_MAX", min=-THREE, max=THREE), observations=frozenset())
    assert resolve_normalizer(found, ACTION).mode == "MIN_MAX"


@pytest.mark.parametrize(("factor", "replaces"), [(1.01, "stats.safetensors"), (1.00001, "")])
def test_given_statistics_replace_others_where_they_differ_by_more_than_rounding(factor: float, replaces: str) -> None:
    given = {"action": FeatureStatistics({"mean": THREE * np.float32(factor), "std": THREE}, "given.json")}
    found = resolve_normalizer(with_given(normalization("MEAN_STD", mean=THREE, std=THREE), given), ACTION)
    assert (found.origin, found.replaces) == ("given.json", replaces)


def test_a_feature_that_the_step_does_not_know_is_refused() -> None:
    there = normalization("MIN_MAX", kind="STATE", name="observation.state", min=-THREE, max=THREE)
    with pytest.raises(StatisticsError, match=r"observation\.state is normalised by MIN_MAX, but the normalizer step"):
        resolve_normalizer(dataclasses.replace(there, features=dict.fromkeys({"action"})), STATE)
    known = dataclasses.replace(there, features=dict.fromkeys({"observation.state"}))
    assert resolve_normalizer(known, STATE).mode == "MIN_MAX"


def test_where_statistics_are_from_goes_along() -> None:
    assert resolved("MEAN_STD", mean=THREE, std=THREE).origin == "stats.safetensors"


def test_flat_image_statistics_are_spread_over_height_and_width() -> None:
    image = Feature("observation.images.top", "VISUAL", (3, 1, 1))
    found = normalization("MEAN_STD", kind="VISUAL", name=image.name, mean=THREE, std=THREE)
    assert resolve_normalizer(found, image).statistics["std"].shape == (3, 1, 1)


@pytest.mark.parametrize(
    ("mode", "lacking"), [("MEAN_STD", "std"), ("MIN_MAX", "min and max"), ("QUANTILES", "q01"), ("QUANTILE10", "q10")]
)
def test_a_missing_statistic_is_named(mode: str, lacking: str) -> None:
    match = rf"action is normalised by {mode}, but its statistics lack {lacking}.*stats\.safetensors has mean\)"
    with pytest.raises(StatisticsError, match=match):
        resolved(mode, mean=THREE)


@pytest.mark.parametrize("values", [THREE[:2], THREE[:1], THREE[None], np.float32(1.0)])
def test_statistics_of_the_wrong_length_are_refused(values: Any) -> None:
    with pytest.raises(StatisticsError, match="statistics of another robot or data set"):
        resolved("MEAN_STD", mean=THREE, std=np.asarray(values))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_statistics_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(StatisticsError, match=r"action\.mean is not finite"):
        resolved("MEAN_STD", mean=np.array([1.0, value, 3.0], np.float32), std=THREE)


@pytest.mark.parametrize(
    ("mode", "values", "why"),
    [
        ("MEAN_STD", {"mean": ZEROS, "std": ZEROS}, "all zero"),
        ("MIN_MAX", {"min": ZEROS, "max": ZEROS}, "all zero"),
        ("QUANTILES", {"q01": ZEROS, "q99": ZEROS}, "all zero"),
        ("MEAN_STD", {"mean": THREE, "std": -THREE}, "is negative"),
        ("MIN_MAX", {"min": THREE, "max": -THREE}, r"action\.min is above action\.max"),
        ("QUANTILES", {"q01": THREE, "q99": -THREE}, r"action\.q01 is above action\.q99"),
    ],
)
def test_statistics_that_no_data_can_have_are_refused(mode: str, values: dict[str, Any], why: str) -> None:
    with pytest.raises(StatisticsError, match=why):
        resolved(mode, **values)


def test_a_joint_that_never_moved_is_no_fault() -> None:
    assert resolved("MEAN_STD", mean=THREE, std=np.array([1, 0, 1], np.float32)).mode == "MEAN_STD"


def test_an_unknown_mode_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedOptionError, match="action is normalised by 'LOG'; supported are IDENTITY, MEAN_STD"):
        mode_of("LOG", "action")
