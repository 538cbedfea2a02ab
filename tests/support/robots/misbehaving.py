"""A command that does what no command should: `misbehaving.py WHAT JOURNAL`. Imports little, for it starts often.

`WHAT` is what it does when it is asked to observe; all else it answers. Whatever it is asked lands in the journal.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

FOREVER_S = 600.0
SLOW_S = 5.0


def hang() -> None:
    """As a call that never returns."""
    time.sleep(FOREVER_S)


def ignore_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hang()


def fork_away() -> None:
    """A daemon as it is in the book: twice forked, in a session of its own, our pipes still open."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    hang()


def fork_bare() -> None:
    """One that has nothing of our environment, and stays in the session."""
    if os.fork():
        return
    program = [sys.executable, "-I", "-S", "-c", f"import time; time.sleep({FOREVER_S})", sys.argv[2]]
    os.execve(sys.executable, program, {})


def say(text: str | bytes) -> None:
    os.write(1, text if isinstance(text, bytes) else text.encode())


def end_silently() -> None:
    os._exit(0)


def die() -> None:
    print("the motor is on fire", file=sys.stderr, flush=True)
    os._exit(3)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def endless() -> None:
    while True:
        say(b"x" * 65_536)


def closed_stdout() -> None:
    os.close(1)
    hang()


def flood() -> None:
    os.write(2, b"noise\n" * 100_000)


ANSWERS = {
    "garbage": b"hello, I am a robot\n",
    "no_utf8": b'{"state": [\xff\xfe]}\n',
    "half_line": b'{"state": [1, ',
}
DOES: dict[str, Callable[[], None]] = {
    "hang": hang, "ignore_sigterm": ignore_sigterm, "die": die, "endless": endless, "closed_stdout": closed_stdout,
    "kill_itself": kill_itself, "silent": end_silently,
}  # fmt: skip


BEFORE: dict[str, Callable[[], None]] = {"fork": fork_away, "fork_bare": fork_bare, "flood": flood}


def observe(what: str, seq: int) -> None:
    good = json.dumps({"state": [1.0, 2.0], "seq": seq}) + "\n"
    if what in ANSWERS:
        say(ANSWERS[what])
        if what == "half_line":
            hang()
    elif what in DOES:
        DOES[what]()
    elif what == "slow":
        time.sleep(SLOW_S)
        say(good)
    elif what == "fork_and_hang":
        fork_away()
        hang()
    elif what == "own_error":
        say(json.dumps({"error": "joint 3 does not answer", "seq": seq}) + "\n")
    elif what == "two_lines":
        say(good + good)
    elif what == "old_answer":
        say(good.replace(f'"seq": {seq}', f'"seq": {seq - 1}'))
    elif what == "no_seq":
        say('{"state": [1, 2]}\n')
    elif what == "dies_after":
        say(good)
        die()
    elif what == "stays_after":
        say(good)
        hang()
    elif what == "grows":
        say(json.dumps({"state": [0.0] * (1 + seq), "seq": seq}) + "\n")
    else:
        if what in BEFORE:
            BEFORE[what]()
        say(good)


def main() -> None:
    what, journal = sys.argv[1:3]
    if what == "deaf":
        hang()
    if what == "no_stdin":
        say('{"state": [1, 2]}\n')
        return
    while line := sys.stdin.readline():
        request = json.loads(line)
        with Path(journal).open("a") as file:
            file.write(line)
        if request["op"] == "observe":
            observe(what, request["seq"])
        elif request["op"] == "start" and what == "not_ready":
            say(json.dumps({"error": "the arm has no power", "seq": request["seq"]}) + "\n")
        elif request["op"] == "apply" and what == "apply_hangs":
            hang()
        else:
            say(json.dumps({"ok": True, "seq": request["seq"]}) + "\n")


if __name__ == "__main__":
    main()
