"""Statistics against those of numpy over everything."""

from __future__ import annotations

import numpy as np

from reflex.datasets.stats import QUANTILES, PictureStats, merged, numbers_stats

RANDOM = np.random.default_rng(3)


def test_numbers_have_the_statistics_of_numpy() -> None:
    values = RANDOM.normal(2, 3, (500, 4))
    found = numbers_stats(values)

    assert np.allclose(found["mean"], values.mean(0))
    assert np.allclose(found["std"], values.std(0))
    assert (found["min"] == values.min(0)).all()
    assert (found["max"] == values.max(0)).all()
    assert np.allclose(found["q99"], np.quantile(values, 0.99, axis=0))
    assert found["count"].tolist() == [500]


def test_episodes_of_any_length_merge_to_the_statistics_of_all_their_frames() -> None:
    parts = [RANDOM.normal(shift, 1 + abs(shift), (length, 2)) for shift, length in ((0, 10), (5, 333), (-2, 1))]
    found, whole = merged([numbers_stats(part) for part in parts]), np.concatenate(parts)

    for name, values in (("mean", whole.mean(0)), ("std", whole.std(0)), ("min", whole.min(0)), ("max", whole.max(0))):
        assert np.allclose(found[name], values), name
    assert found["count"].tolist() == [344]


def test_merging_one_after_the_other_is_merging_at_once() -> None:
    parts = [numbers_stats(RANDOM.normal(0, 1, (length, 3))) for length in (5, 50, 7)]
    at_once, stepwise = merged(parts), merged([merged(parts[:2]), parts[2]])

    assert all(np.allclose(at_once[name], stepwise[name]) for name in at_once)


def test_pictures_have_the_statistics_of_the_pixels_that_are_looked_at_in_0_to_1() -> None:
    pictures = RANDOM.integers(0, 200, (21, 40, 60, 3), np.uint8)
    stats = PictureStats()
    for pixels in pictures:
        stats.add(pixels)
    found, looked = stats.stats(), pictures[[0, 10, 20]] / 255

    assert found["count"].tolist() == [3]
    assert {value.shape for name, value in found.items() if name != "count"} == {(3, 1, 1)}
    assert np.allclose(found["mean"].ravel(), looked.mean((0, 1, 2)))
    assert np.allclose(found["std"].ravel(), looked.std((0, 1, 2)))
    for name, share in QUANTILES.items():
        wanted = np.quantile(looked, share, (0, 1, 2), method="inverted_cdf")
        assert np.allclose(found[name].ravel(), wanted), name


def test_a_large_picture_is_looked_at_in_part() -> None:
    stats = PictureStats()
    pixels = np.zeros((1080, 1920, 3), np.uint8)
    pixels[:, 960:] = 255
    stats.add(pixels)

    assert abs(float(stats.stats()["mean"].mean()) - 0.5) < 0.01
