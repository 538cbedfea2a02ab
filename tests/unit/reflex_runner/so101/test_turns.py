from __future__ import annotations

import threading
from collections.abc import Callable

from reflex_runner.so101.turns import Turns
from support.waiting import HANGS_S, wait_until


def started(call: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


class Speakers:
    """Who has spoken, in which order."""

    def __init__(self) -> None:
        self.turns, self.order = Turns(), list[str]()

    def command(self) -> None:
        with self.turns.command():
            self.order.append("command")

    def question(self) -> None:
        with self.turns.question():
            self.order.append("question")


def test_a_command_goes_before_the_questions_that_wait() -> None:
    speakers = Speakers()

    with speakers.turns.question():
        threads = [started(speakers.question), started(speakers.command)]
        wait_until(lambda: speakers.turns._commands_waiting == 1, "the command waits")
        assert speakers.order == []
    for thread in threads:
        thread.join()

    assert speakers.order == ["command", "question"]


def test_a_command_does_not_wait_for_an_answer_that_can_no_longer_be_on_the_wire() -> None:
    speakers = Speakers()

    with speakers.turns.question() as be_quiet_in:
        thread = started(speakers.command)
        wait_until(lambda: speakers.turns._commands_waiting == 1, "the command waits")
        assert speakers.order == []
        be_quiet_in(0.001)
        thread.join(HANGS_S)
        assert speakers.order == ["command"]


def test_a_second_question_waits_however_quiet_the_wire_is() -> None:
    speakers = Speakers()

    with speakers.turns.question() as be_quiet_in:
        be_quiet_in(0)
        thread = started(speakers.question)
        speakers.command()
        assert speakers.order == ["command"]
    thread.join()

    assert speakers.order == ["command", "question"]
