from __future__ import annotations

import json
from dataclasses import replace

from reflex_analysis.motion.report import as_json, heading, medians, remarks, table_lines
from support.motion.trials import bench, served, trial


def test_the_table_has_a_line_for_each_strategy_at_each_latency_and_units() -> None:
    lines = table_lines([trial("sync", 0.0), trial("sync", 100.0), trial("open-loop", 100.0)])

    assert [line.split()[:2] for line in lines[2:]] == [["sync", "0"], ["sync", "100"], ["open-loop", "100"]]
    assert lines[0].split()[:2] == ["strategy", "latency"]
    assert "% range" in lines[1]
    assert len({len(line) for line in lines}) == 1


def test_of_repeated_trials_it_has_the_median() -> None:
    trials = [trial("sync", 0.0, repeat, pauses=pauses) for repeat, pauses in enumerate((9, 2, 3))]

    assert medians(trials)["sync", 0.0].pauses == 3
    assert len(table_lines(trials)) == 3


def test_the_json_has_every_trial() -> None:
    trials = [trial("sync", 0.0, repeat) for repeat in range(2)]
    found = json.loads(json.dumps(as_json(bench(repeat=2), served(), trials, interrupted=False)))

    assert [(each["strategy"], each["latency_ms"], each["repeat"]) for each in found["trials"]] == [
        ("sync", 0.0, 0),
        ("sync", 0.0, 1),
    ]
    assert found["control_hz"] == 50.0
    assert found["replan_steps"] == 25
    assert (found["has_rtc"], found["interrupted"], found["plant"]) == (True, False, "point-mass")
    assert {"discontinuity_mean", "longest_pause", "jerk_rms", "corrected", "refusals"} <= found["trials"][0].keys()


def test_what_makes_figures_less_than_they_seem_is_remarked() -> None:
    sound, guided = trial("open-loop", 0.0), trial("rtc", 50.0)
    assert list(remarks([sound])) == []
    assert list(remarks([replace(guided, figures=replace(guided.figures, guided=3))])) == []

    corrected = replace(guided, strategy="rtc+a2c2", figures=replace(guided.figures, guided=3, corrected=2))
    assert list(remarks([corrected])) == []

    refused = trial("sync", 100.0)
    refused.course.refusals["overloaded"] = 2
    late = replace(sound, figures=replace(sound.figures, overruns=7))

    assert list(remarks([refused, late, guided])) == [
        "sync at 100 ms: 2 requests failed with overloaded",
        "rtc at 50 ms: the server continued no chunk; its answers say why in rtc_reason",
        "7 of 300 control periods began late: this machine is too busy",
    ]


def test_a_row_is_never_taken_for_what_it_is_not() -> None:
    plain, wanted = trial("open-loop", 50.0), trial("rtc+a2c2", 50.0)
    by_a_head = replace(plain, figures=replace(plain.figures, corrected=7))
    not_corrected = replace(wanted, figures=replace(wanted.figures, guided=3))

    assert list(remarks([by_a_head, not_corrected])) == [
        "open-loop at 50 ms: 7 answers corrected by a head of the server",
        "rtc+a2c2 at 50 ms: the server corrected no chunk; its answers say why in a2c2_reason",
    ]


def test_the_heading_says_what_was_tried_and_at_which_rate() -> None:
    assert heading(bench(), served()) == "demo@1 on franka (point-mass): chunks of 50 at 50 Hz, jitter 0 ms, 2 s each"
    assert " at 20 Hz," in heading(bench(control_hz=None), served())
    assert " on franka (mujoco): " in heading(bench(plant="mujoco"), served())
