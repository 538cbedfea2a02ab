from __future__ import annotations

import math

import numpy as np

from reflex_runner.simulation.axes import SIMULATED
from reflex_runner.simulation.geometry import REACH_M, grip_of, reach_of
from reflex_runner.simulation.start import (
    APART_M,
    CUBE_BEARING_DEG,
    CUBE_DISTANCE_M,
    Looks,
    draw_second_xy,
    draw_start,
)

SEEDS = range(300)


def test_the_same_seed_begins_the_same_and_another_otherwise() -> None:
    one, again, other = draw_start(7), draw_start(7), draw_start(8)
    np.testing.assert_array_equal(one.pose, again.pose)
    assert one.cube_xy_m == again.cube_xy_m
    assert one.cube_xy_m != other.cube_xy_m
    assert not np.array_equal(one.pose, other.pose)


def test_every_cube_is_within_reach_also_ten_centimetres_up_and_all_of_the_region_is_used() -> None:
    places = np.array([draw_start(seed).cube_xy_m for seed in SEEDS])
    distances, bearings = np.hypot(*places.T), np.degrees(np.arctan2(places[:, 1], places[:, 0]))
    assert max(reach_of(x, y, 0.1) for x, y in places) < REACH_M
    for values, (low, high) in ((distances, CUBE_DISTANCE_M), (bearings, CUBE_BEARING_DEG)):
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high >= values.max() > high - 0.05 * (high - low)


def test_every_pose_is_within_the_embodiments_range_and_clear_of_the_table() -> None:
    poses = np.array([draw_start(seed).pose for seed in SEEDS])
    assert (poses >= np.array(SIMULATED.action_low)).all()
    assert (poses <= np.array(SIMULATED.action_high)).all()
    assert min(grip_of(pose).z for pose in poses) > 0.05


def test_varied_looks_change_what_is_seen_and_nothing_else() -> None:
    plain, varied = draw_start(3), draw_start(3, varied_looks=True)
    assert plain.looks == Looks()
    assert varied.looks != plain.looks
    np.testing.assert_array_equal(plain.pose, varied.pose)
    assert (plain.cube_xy_m, plain.cube_yaw_rad) == (varied.cube_xy_m, varied.cube_yaw_rad)
    for seed in SEEDS:
        looks = draw_start(seed, varied_looks=True).looks
        assert all(0.0 <= part <= 1.0 for part in (*looks.cube_rgb, *looks.table_rgb))
        assert looks.cube_rgb[0] > 2 * max(looks.cube_rgb[1:]), "the cube stays red"
        assert math.dist(looks.camera_shift_m, (0, 0, 0)) < 0.02


def test_a_second_cube_is_within_reach_clear_of_the_first_and_the_same_for_a_seed() -> None:
    first = [draw_start(seed).cube_xy_m for seed in SEEDS]
    second = [draw_second_xy(seed, place) for seed, place in zip(SEEDS, first, strict=True)]
    assert second == [draw_second_xy(seed, place) for seed, place in zip(SEEDS, first, strict=True)]
    assert len(set(second)) == len(SEEDS)
    assert min(math.dist(*pair) for pair in zip(first, second, strict=True)) >= APART_M
    assert max(reach_of(x, y, 0.1) for x, y in second) < REACH_M
