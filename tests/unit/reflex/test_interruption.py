"""Signals interrupt work once, wait for what must not be disturbed, and leave handlers as they were."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reflex.interruption import AGAIN_S, SIGNALS, ended_by_sigterm, interruptible, scratch_folder, undisturbed
from support.waiting import let_pass, wait_until


@pytest.fixture(autouse=True)
def _handlers_are_put_back() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    hooks = sys.excepthook, sys.unraisablehook
    yield
    sys.excepthook, sys.unraisablehook = hooks
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_interrupts_and_the_next_ones_do_not(number: signal.Signals) -> None:
    with interruptible() as is_interrupted:
        assert not is_interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        for each in SIGNALS:
            signal.raise_signal(each)
        assert is_interrupted()


class _InterruptedAsItGoes:
    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def _work() -> None:
    """Until it is interrupted."""
    wait_until(lambda: False, "the work is interrupted")


def test_an_interruption_that_a_finalizer_swallows_prints_no_traceback_and_is_raised_behind_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with interruptible() as is_interrupted:
        with pytest.raises(KeyboardInterrupt):
            _work_behind(_InterruptedAsItGoes)  # what is raised in it goes to the interpreter's hook
        assert is_interrupted()

    assert capfd.readouterr() == ("", "")


def _work_behind(swallowing: Callable[[], object]) -> None:
    swallowing()
    _work()


def test_an_interruption_that_native_code_prints_is_raised_behind_it() -> None:
    with interruptible(), pytest.raises(KeyboardInterrupt):
        _work_behind(_prints_the_interruption)


def _prints_the_interruption() -> None:
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt as exc:
        sys.excepthook(KeyboardInterrupt, exc, None)  # as PyErr_Print does


class _GoesSlowly:
    """Swallows the interruption that comes anew as well."""

    def __del__(self) -> None:
        _prints_the_interruption()
        _work()


def test_an_interruption_that_is_swallowed_twice_is_raised_at_last() -> None:
    with interruptible(), pytest.raises(KeyboardInterrupt):
        _work_behind(_GoesSlowly)


def test_tidying_up_is_not_disturbed_when_an_interruption_was_both_printed_and_raised() -> None:
    done = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
            raise
        finally:
            let_pass(10 * AGAIN_S)
            done.append("tidied up")

    with interruptible(), pytest.raises(KeyboardInterrupt):
        work()

    assert done == ["tidied up"]


def test_without_a_signal_the_handlers_are_as_before() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]

    with interruptible():
        pass

    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_what_must_not_be_disturbed_is_finished_first() -> None:
    done = []

    def tidy_up() -> None:
        with undisturbed():
            signal.raise_signal(signal.SIGTERM)
            done.append("tidied up")

    with interruptible(), pytest.raises(KeyboardInterrupt):
        tidy_up()

    assert done == ["tidied up"]


def test_sigterm_ends_the_program_by_way_of_what_must_be_tidied_up() -> None:
    before, done = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            done.append("tidied up")

    with pytest.raises(SystemExit) as ended, ended_by_sigterm():
        work()

    assert ended.value.code == 143
    assert done == ["tidied up"]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_scratch_folder_goes_even_if_the_signal_comes_while_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    remove = shutil.rmtree

    def remove_slowly(folder: Path) -> None:
        signal.raise_signal(signal.SIGINT)
        remove(folder)

    monkeypatch.setattr(shutil, "rmtree", remove_slowly)
    with interruptible(), pytest.raises(KeyboardInterrupt), scratch_folder("reflex-test-") as folder:
        made.append(folder)

    assert not made[0].exists()


def test_another_thread_changes_no_handlers() -> None:
    inside: list[object]
    before, inside = [signal.getsignal(number) for number in SIGNALS], []

    def work() -> None:
        with interruptible(), undisturbed(), ended_by_sigterm():
            inside.extend(signal.getsignal(number) for number in SIGNALS)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert inside == before
