"""`reflex traces summary`, `compare` and `replay` as commands: exit codes, what goes where, one JSON value."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reflex.cli import app
from reflex.cli.traces import MetricName
from reflex.traces.schema import DroppedRecord
from reflex_analysis.episodes import METRICS
from support.outside.answering import Answering, running
from support.traces import Experiment, header, policy, request, smooth_chunk, write_trace
from support.waiting import HANGS_S

RUNNER = CliRunner()
NAME = "2026-11-21T14Z_0123abcd_1.jsonl.gz"
CONFIG = {"policy_id": "demo", "policy_hash": "sha256:demo", "cameras": []}


class Policy(Answering):
    """Answers everything with the chunk that `support.traces.request` records, plus `shift`."""

    shift = 0.0
    error: str | None = None

    def get(self) -> None:
        self.answer(200, CONFIG)

    def post(self) -> None:
        body = json.loads(self.asked())
        if self.error is not None:
            self.answer(422, {"error": self.error, "message": "no", "request_id": body["request_id"]})
            return
        self.answer(200, {"actions": (smooth_chunk() + self.shift).tolist(), "request_id": body["request_id"]})


@contextmanager
def served(shift: float = 0.0, error: str | None = None) -> Iterator[str]:
    shifted = type("Shifted", (Policy,), {"shift": shift, "error": error})
    with running(ThreadingHTTPServer(("127.0.0.1", 0), shifted)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def two_slots(tmp_path: Path) -> Path:
    policies = {"a": policy("old"), "b": policy("new")}
    write_trace(tmp_path / NAME, [header(policies), *Experiment(1, b_rougher=0.7).records(30), DroppedRecord(2)])
    return tmp_path


@pytest.fixture
def one_slot(tmp_path: Path) -> Path:
    answered = [request(seq) for seq in range(1, 6)]
    write_trace(tmp_path / NAME, [header(), *answered, request(6, status=500, actions_raw=None)])
    return tmp_path


def test_the_summary_is_text_on_stdout_and_what_is_missing_on_stderr(two_slots: Path) -> None:
    done = RUNNER.invoke(app, ["traces", "summary", str(two_slots)])

    assert done.exit_code == 0
    for words in ("180 requests, 30 episodes", "slot a  a-policy@aaaaaaaa", "p99", "jerk", "gripper", "▁"):
        assert words in done.stdout
    assert done.stderr == "reflex: 2 requests not recorded by the server, which was too busy to write\n"


def test_the_summary_is_one_json_value(two_slots: Path) -> None:
    done = RUNNER.invoke(app, ["traces", "summary", str(two_slots), "--json"])

    found = json.loads(done.stdout)
    assert [slot["slot"] for slot in found["slots"]] == ["a", "b"]
    assert found["losses"]["dropped"] == 2
    assert done.stderr == ""


def test_the_report_is_written_where_it_is_asked_for(two_slots: Path) -> None:
    page = two_slots / "report.html"

    done = RUNNER.invoke(app, ["traces", "summary", str(two_slots), "--html", str(page)])

    assert done.exit_code == 0
    assert "The comparison in numbers" in page.read_text(encoding="utf-8")
    assert f"report: {page}" in done.stderr


def test_a_report_that_cannot_be_written_is_an_error_with_its_reason(two_slots: Path) -> None:
    done = RUNNER.invoke(app, ["traces", "summary", str(two_slots), "--html", str(two_slots / "no" / "report.html")])

    assert done.exit_code == 1
    assert "cannot be written" in done.stderr


@pytest.mark.parametrize("command", [["traces", "summary"], ["compare"], ["replay", "--against", "http://localhost:1"]])
def test_a_folder_without_recordings_is_an_error_that_says_how_to_make_some(command: list[str], tmp_path: Path) -> None:
    done = RUNNER.invoke(app, [*command, str(tmp_path)])
    in_json = RUNNER.invoke(app, [*command, str(tmp_path), "--json"])

    assert done.exit_code == in_json.exit_code == 1
    assert "--record DIR" in done.stderr
    assert json.loads(in_json.stdout)["error"] == "setup"


def test_answers_with_fewer_steps_are_told_in_the_text_and_in_the_report(tmp_path: Path) -> None:
    policies = {slot: policy(slot) for slot in ("a", "b")}
    answered = [
        request(seq, slot=slot, policy=policies[slot].model_version, episode_id=f"{slot}{seq}")
        for seq in range(1, 7) for slot in ("a", "b")
    ]  # fmt: skip
    reduced = request(9, policy="a_s4@1", denoising_steps=4)
    write_trace(tmp_path / NAME, [header(policies), *answered, reduced])

    compared = RUNNER.invoke(app, ["compare", str(tmp_path)])
    summary = RUNNER.invoke(app, ["traces", "summary", str(tmp_path), "--html", str(tmp_path / "report.html")])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")

    first, second, *_ = compared.stdout.splitlines()
    reason = "(--slo-mode degrade or --adaptive-steps)"
    assert first == f"a  a@a0000000, 7 episodes; 1 request of them with fewer denoising steps {reason}"
    assert second == "b  b@b0000000, 6 episodes"
    assert f"variant     a@a0000000 with fewer denoising steps {reason}" in summary.stdout
    assert f"a@a0000000 with fewer denoising steps {reason}" in page
    assert "Answered for a by its variant with fewer denoising steps, and counted: 1." in page
    assert "<h1>a against b</h1>" in page


def test_the_comparison_ends_with_its_sentence(two_slots: Path) -> None:
    done = RUNNER.invoke(app, ["compare", str(two_slots)])

    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1].startswith("b (b-policy@bbbbbbbb) is better than a in jerk")


def test_mistakes_of_clients_have_a_line_of_their_own(tmp_path: Path) -> None:
    wrong = request(2, status=422, error="unknown_camera", actions_raw=None)
    write_trace(tmp_path / NAME, [header(), request(1), wrong])

    done = RUNNER.invoke(app, ["traces", "summary", str(tmp_path)])

    assert "  requests    2 in 1 episode; no errors\n" in done.stdout
    assert "  clients     1 error (unknown_camera 1) of what they asked (4xx)\n" in done.stdout


def test_the_same_weights_in_both_slots_are_remarked_last(tmp_path: Path) -> None:
    same = {slot: replace(policy(), model_version=f"{slot}-policy@{slot * 8}") for slot in "ab"}
    write_trace(tmp_path / NAME, [header(same), *Experiment(1).records(12)])

    last = RUNNER.invoke(app, ["compare", str(tmp_path)]).stdout.splitlines()[-1]

    assert last == "both slots serve the same weights: what differs between them is not the policy"


def test_the_comparison_of_chosen_metrics_is_one_json_value(two_slots: Path) -> None:
    done = RUNNER.invoke(app, ["compare", str(two_slots), "--metric", "jerk", "--metric", "errors", "--json"])

    found = json.loads(done.stdout)
    assert [metric["metric"] for metric in found["metrics"]] == ["jerk", "errors"]
    assert found["conclusive"] is True


def test_the_metrics_of_the_command_are_all_that_there_are() -> None:
    assert [name.value for name in MetricName] == list(METRICS)


def test_an_unknown_metric_is_wrong_usage(two_slots: Path) -> None:
    assert RUNNER.invoke(app, ["compare", str(two_slots), "--metric", "beauty"]).exit_code == 2


def test_a_replay_that_is_equal_exits_with_0(one_slot: Path) -> None:
    with served() as url:
        done = RUNNER.invoke(app, ["replay", str(one_slot), "--against", url])

    assert done.exit_code == 0
    assert done.stdout == "equal: 5 of 5 answers, exactly (largest difference 0)\n"
    assert "not replayed: 1, because it was answered with an error" in done.stderr
    assert "guard: on when recorded, unknown now" in done.stderr


def test_a_replay_that_differs_exits_with_1_and_says_where(one_slot: Path) -> None:
    with served(shift=0.5) as url:
        done = RUNNER.invoke(app, ["replay", str(one_slot), "--against", url, "--limit", "2"])
        in_json = RUNNER.invoke(app, ["replay", str(one_slot), "--against", url, "--json", "--tolerance", "0.1"])

    assert done.exit_code == in_json.exit_code == 1
    assert "record 1 of episode e1 (request r1): first at step 0, x: recorded 0, now 0.5" in done.stdout
    assert "different: 0 of 2 answers are equal exactly" in done.stdout
    found = json.loads(in_json.stdout)
    assert (found["differing"], found["equal_all"], found["deviations"][0]["axis"]) == (5, False, "x")


def test_a_replay_in_which_every_request_failed_says_that_nothing_was_compared(one_slot: Path) -> None:
    with served(error="unknown_camera") as url:
        done = RUNNER.invoke(app, ["replay", str(one_slot), "--against", url, "--limit", "2"])

    assert done.exit_code == 1
    assert done.stdout == "nothing could be compared: 2 failed with unknown_camera\n"


def test_several_requests_that_are_not_replayed_have_their_reason_once(tmp_path: Path) -> None:
    failed = [request(seq, status=500, actions_raw=None) for seq in (2, 3)]
    write_trace(tmp_path / NAME, [header(), request(1), *failed])

    with served() as url:
        done = RUNNER.invoke(app, ["replay", str(tmp_path), "--against", url])

    assert "not replayed: 2, each because it was answered with an error" in done.stderr


@pytest.mark.parametrize("command", [["traces", "summary"], ["compare"], ["replay", "--against", "http://localhost:1"]])
def test_a_file_that_is_no_recording_is_an_error(command: list[str], tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("# Not a recording\n\nBut text.\n")
    done = RUNNER.invoke(app, [*command, str(page)])

    assert done.exit_code == 1
    assert f"{page} holds no recording" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", [["traces", "summary"], ["compare"], ["replay", "--against", "http://localhost:1"]])
def test_a_recording_without_requests_is_an_error(command: list[str], tmp_path: Path) -> None:
    write_trace(tmp_path / NAME, [header()])
    done = RUNNER.invoke(app, [*command, str(tmp_path)])

    assert done.exit_code == 1
    assert f"{tmp_path} holds no requests" in done.stderr


def test_a_replay_within_the_tolerance_exits_with_0(one_slot: Path) -> None:
    with served(shift=0.5) as url:
        assert RUNNER.invoke(app, ["replay", str(one_slot), "--against", url, "--tolerance", "0.5"]).exit_code == 0


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--against", "http://localhost:1", "--policy", "demo"],
        ["--against", "http://localhost:1", "--tolerance", "-1"],
        ["--against", "http://localhost:1", "--tolerance", "nan"],
        ["--against", "http://localhost:1", "--limit", "0"],
    ],
)
def test_wrong_options_are_wrong_usage(one_slot: Path, options: list[str]) -> None:
    assert RUNNER.invoke(app, ["replay", str(one_slot), *options]).exit_code == 2


def test_a_server_that_is_not_there_is_a_failure_with_its_url(one_slot: Path) -> None:
    done = RUNNER.invoke(app, ["replay", str(one_slot), "--against", "http://127.0.0.1:1"])

    assert done.exit_code == 1
    assert "http://127.0.0.1:1 cannot be reached" in done.stderr


def test_what_is_neither_a_url_nor_a_folder_is_said_to_be_neither(one_slot: Path) -> None:
    done = RUNNER.invoke(app, ["replay", str(one_slot), "--against", "localhost:8000"])

    assert done.exit_code == 1
    assert "neither a URL" in done.stderr


@pytest.mark.slow
def test_a_repository_that_cannot_be_served_is_a_failure_with_the_servers_own_words(
    one_slot: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()

    done = RUNNER.invoke(app, ["replay", str(one_slot), "--against", str(empty)])

    assert done.exit_code == 1
    assert "holds no policy" in done.stderr


@pytest.mark.slow
def test_ctrl_c_ends_a_replay_with_130(one_slot: Path) -> None:
    class Silent(Policy):
        def post(self) -> None:
            os.kill(replay.pid, signal.SIGINT)
            threading.Event().wait(HANGS_S)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    command = [sys.executable, "-m", "reflex.cli", "replay", str(one_slot), "--against"]
    replay = subprocess.Popen([*command, f"http://127.0.0.1:{server.server_port}"], stderr=subprocess.DEVNULL)
    try:
        assert replay.wait(HANGS_S) == 130
    finally:
        server.shutdown()
        server.server_close()
