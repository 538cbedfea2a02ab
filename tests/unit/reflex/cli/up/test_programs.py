"""Programs that run together: their lines come out whole, and the end of one, or of what started them, ends all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from reflex.cli.up.programs import Programs, together
from reflex.errors import SetupError
from support.leftovers import has_ended
from support.server import free_port
from support.waiting import HANGS_S, wait_until

SLEEPS = ["sleep", "600"]
SAYS = ["sh", "-c", "echo one; echo two >&2; exec sleep 600"]
STARTS_AND_WAITS = """
import subprocess, sys, time
from reflex.cli.up.programs import reflex_command

print(subprocess.Popen(reflex_command(*sys.argv[1:])).pid)
time.sleep(600)
"""
TRAPS = ["sh", "-c", "trap 'echo drained; exit 0' TERM; echo up; while :; do sleep 0.05; done"]


def pids(programs: Programs) -> list[int]:
    return [process.pid for process in programs._running.values()]


def test_what_they_say_bears_their_names_and_all_are_ended_with_time_to_drain() -> None:
    said: list[str] = []
    with together(said.append) as programs:
        programs.start("first", SAYS)
        programs.start("second", TRAPS, {"WITH": "a variable"})
        programs.wait_for(lambda: len(said) == 3)
        started = pids(programs)

    assert sorted(said[:3]) == ["first   | one", "first   | two", "second  | up"]
    assert said[3:] == ["second  | drained"]
    assert [pid for pid in started if psutil.pid_exists(pid)] == []


@pytest.mark.parametrize(("script", "how"), [("exit 3", "code 3"), ("kill -9 $$", "SIGKILL"), ("exit 0", "code 0")])
def test_the_end_of_one_is_told_and_ends_the_rest(script: str, how: str) -> None:
    said: list[str] = []
    started: list[int] = []

    def run() -> None:
        with together(said.append) as programs:
            programs.start("server", SLEEPS)
            programs.start("control", ["sh", "-c", f"echo last; {script}"])
            started.extend(pids(programs))
            programs.watch()

    with pytest.raises(SetupError, match=f"the control .*{how}"):
        run()

    assert said == ["control | last"]
    assert len(started) == 2
    assert [pid for pid in started if psutil.pid_exists(pid)] == []


def test_one_may_end_by_itself_where_that_is_waited_for() -> None:
    with together(lambda _line: None) as programs:
        programs.start("server", SLEEPS)
        programs.start("robot", ["sh", "-c", "exit 3"])
        assert programs.outlast("robot") == 3

    def outlast() -> None:
        with together(lambda _line: None) as programs:
            programs.start("server", ["sh", "-c", "exit 4"])
            programs.start("robot", SLEEPS)
            programs.outlast("robot")

    with pytest.raises(SetupError, match="the server ended with code 4"):
        outlast()


def test_the_end_of_one_is_told_whatever_holds_its_output_open() -> None:
    said: list[str] = []
    programs = Programs(said.append)
    programs.start("server", ["sh", "-c", "sleep 600 & echo $!; exit 3"])
    wait_until(lambda: len(said) == 1, "it says whom it leaves behind")

    try:
        with pytest.raises(SetupError, match=r"the server .*code 3"):
            programs.watch()
    finally:
        psutil.Process(int(said[0].rpartition(" ")[2])).kill()
        programs.end()


def test_one_that_ends_before_it_is_ready_is_not_waited_for() -> None:
    def run() -> None:
        with together(lambda _line: None) as programs:
            programs.start("control", ["sh", "-c", "exit 7"])
            programs.wait_for(lambda: False)

    with pytest.raises(SetupError, match="code 7"):
        run()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_stop_is_what_ctrl_c_is(number: signal.Signals) -> None:
    before = signal.getsignal(number)

    def run() -> None:
        with together(lambda _line: None) as programs:
            programs.start("server", SLEEPS)
            threading.Timer(0.0, os.kill, (os.getpid(), number)).start()
            programs.watch()

    with pytest.raises(KeyboardInterrupt):
        run()

    assert signal.getsignal(number) is before


def test_a_second_signal_ends_at_once_what_does_not_drain() -> None:
    said: list[str] = []
    started: list[int] = []

    def say(line: str) -> None:
        said.append(line)
        if line.endswith("heard"):  # the first one, and goes on
            os.kill(os.getpid(), signal.SIGTERM)

    def run() -> None:
        with together(say) as programs:
            programs.start("server", ["sh", "-c", "trap 'echo heard' TERM; echo up; while :; do sleep 0.05; done"])
            programs.wait_for(lambda: len(said) == 1)
            started.extend(pids(programs))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()

    assert said == ["server  | up", "server  | heard"]
    assert [pid for pid in started if psutil.pid_exists(pid)] == []


@pytest.mark.slow
def test_no_child_outlives_what_started_it(tmp_path: Path) -> None:
    arguments = ["control", "serve", "--data", str(tmp_path / "data"), "--port", str(free_port())]
    parent = subprocess.Popen(
        [sys.executable, "-u", "-c", STARTS_AND_WAITS, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    wait_until(lambda: (tmp_path / "data" / "control.db").exists(), "the child serves")

    parent.kill()
    parent.wait(HANGS_S)
    parent.stdout.close()

    wait_until(lambda: has_ended(child), "the child is gone")


def test_a_program_goes_on_when_nobody_hears_any_more_what_it_says(tmp_path: Path) -> None:
    def gone(_line: str) -> None:
        raise BrokenPipeError

    done = tmp_path / "done"
    with together(gone) as programs:
        programs.start("server", ["sh", "-c", f"yes | head -c 300000; touch '{done}'; exec sleep 600"])
        wait_until(done.exists, "it says more than a pipe holds")
