"""Promises with a time in them. Only `make promises` measures them; how busy the machine is decides nothing else.

A test that takes the `promise` fixture is two tests. `make test` runs the one named `[works]`, in which a figure counts
only against hanging. `make promises` runs the one named `[in_time]`, marked `timing`, in which the figure must keep its
bound. Of a test that is itself marked `timing` there is only the second.

A promise that was missed is measured once more, with fresh fixtures. More than two such repeats fail the run, and more
than eight of those that were missed while the machine was measurably slower than at its best.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Literal

import pytest
from _pytest.runner import runtestprotocol

from support.noise import (
    QUIET,
    SPINS_A_STRETCH,
    Noise,
    Samples,
    percentile,
    sample,
    stretches,
    summary,
    until_quiet,
)
from support.waiting import HANGS_S

__all__ = ["Neighbours", "Promise", "promise"]

MOST_REPEATS: Final = 2
MOST_WHILE_BUSY: Final = 8
SHARES: Final = (0.5, 0.9, 0.99)
TURNS: Final = 3
LOOKS: Final = 70
"""For some 20 s a machine may become quiet before a promise is measured once more."""
WORKS, IN_TIME = "works", "in_time"
Unit = Literal["s", "x", ""]
"""Seconds, a ratio, a count."""


@dataclass(frozen=True)
class Figure:
    """One promise as it was measured."""

    sentence: str
    measured: float
    bound: float
    unit: Unit
    is_least: bool
    """The bound is the least that is allowed, not the most."""

    @property
    def ratio(self) -> float:
        """Over 1: missed."""
        above, below = (self.bound, self.measured) if self.is_least else (self.measured, self.bound)
        return above / below if below else 0.0 if self.is_kept else float("inf")

    @property
    def is_kept(self) -> bool:
        return self.measured >= self.bound if self.is_least else self.measured <= self.bound

    def __str__(self) -> str:
        return f"{self._text(self.measured):>10} {'>=' if self.is_least else '<='} {self._text(self.bound):<9}"

    def _text(self, value: float) -> str:
        is_short = self.unit == "s" and abs(value) < 1
        return f"{value * 1_000:.4g} ms" if is_short else f"{value:.4g} {self.unit}".strip()


@dataclass
class Neighbours:
    """Who else takes of the processor while a block runs."""

    slowness: float = 1.0
    """How much longer than at its quickest in this run the same work takes: 1 with none, 2 on a core that is shared."""

    def without(self, work_s: float) -> float:
        """Seconds of work, as they are where nobody else takes of the processor."""
        return work_s / self.slowness


@dataclass
class Promise:
    """The fixture: give it a sentence, what was measured, and the bound."""

    is_measured: bool
    run: Run | None = None
    """In which it is measured."""
    figures: dict[str, Figure] = field(default_factory=dict)
    """The worst of each sentence."""
    slowest: float = 1.0
    """Of all that `beside_neighbours` saw."""

    @contextmanager
    def beside_neighbours(self) -> Iterator[Neighbours]:
        """Looks at the processor before and after the block; where nothing is measured there are no neighbours.

        For seconds that the processor works, and none of those that somebody waits.
        """
        neighbours = Neighbours()
        before = sample() if self.run is not None else None
        yield neighbours
        if self.run is not None and before is not None:
            neighbours.slowness = self.run.slowness(before, sample())
            self.slowest = max(self.slowest, neighbours.slowness)

    def within_99_of_100(self, turn: Callable[[], Sequence[float]]) -> float:
        """Seconds that 99 of 100 do not exceed, of all that three turns return.

        For what takes milliseconds of the processor. A neighbour makes a few of a hundred much longer, and most hardly:
        what 99 of 100 do not exceed is divided by what 99 of 100 bare stretches of milliseconds, beside the turns, do
        not exceed, as a multiple of the quickest. So are 90 and 50 of 100, each by its own: if more is left of these,
        it is they that count, for what is always late is not the neighbours' doing.
        """
        seen_s: list[float] = []
        taken_s: list[float] = []
        for _ in range(TURNS):
            seen_s += stretches() if self.run is not None else ()
            taken_s += turn()
        if self.run is None:
            return percentile(taken_s, SHARES[-1])
        seen_s += stretches()
        slowness = {share: self.run.slowness_of(seen_s, share) for share in SHARES}
        self.slowest = max(self.slowest, *slowness.values())
        return max(percentile(taken_s, share) / slowness[share] for share in SHARES)

    def __call__(
        self,
        sentence: str,
        measured: float,
        at_most: float | None = None,
        *,
        at_least: float | None = None,
        unit: Unit = "s",
    ) -> None:
        bound = at_most if at_least is None else at_least
        assert bound is not None, "a promise has a bound"
        figure = Figure(sentence, measured, bound, unit, is_least=at_least is not None)
        if not self.is_measured:
            assert unit != "s" or figure.is_least or measured <= bound + HANGS_S, f"hangs: {sentence}: {figure}"
            return
        if sentence not in self.figures or figure.ratio > self.figures[sentence].ratio:
            self.figures[sentence] = figure
        assert figure.is_kept, f"missed: {sentence}: {figure}"


@dataclass
class Row:
    """Of the table: a promise, and how busy the machine was right before and after."""

    test: str
    figure: Figure
    noise: Noise
    slowest: float = 1.0
    """By so much and no more were its seconds of work divided."""

    def __str__(self) -> str:
        divided = f"{self.slowest:.2f}" if self.slowest > 1 else ""
        return f"{self.figure} {self.figure.ratio:6.2f}  {self.noise!s:30} {divided:>5}  {self.figure.sentence}"


@dataclass
class Run:
    """What one run of pytest has measured."""

    rows: list[Row] = field(default_factory=list)
    repeats: list[str] = field(default_factory=list)
    while_busy: list[str] = field(default_factory=list)
    """Those of them that were missed while the machine was busy."""
    quickest_s: float = math.inf
    """Spin of all that were seen."""
    now: Promise | None = None
    """Of the test that runs."""

    def figures_now(self) -> list[Figure]:
        return [] if self.now is None else list(self.now.figures.values())

    def slowest_now(self) -> float:
        return 1.0 if self.now is None else self.now.slowest

    @property
    def is_failed(self) -> bool:
        return len(self.repeats) - len(self.while_busy) > MOST_REPEATS or len(self.while_busy) > MOST_WHILE_BUSY

    def noise(self, samples: Samples) -> Noise:
        """Beside the quickest spin that was seen so far."""
        self.quickest_s = min(self.quickest_s, *samples.spin_s)
        return summary(samples, self.quickest_s)

    def slowness(self, *looks: Samples) -> float:
        """Of work that was done while these looks were taken; the same share of it falls to each."""
        for look in looks:
            self.noise(look)
        noises = [self.noise(look) for look in looks]
        return len(noises) / sum(1.0 if noise.is_quiet else 1.0 / noise.spin_p50 for noise in noises)

    def slowness_of(self, stretches_s: Sequence[float], share: float) -> float:
        """How much longer than the quickest the stretch is that so large a share of them does not exceed."""
        self.quickest_s = min(self.quickest_s, min(stretches_s) / SPINS_A_STRETCH)
        slowness = percentile(stretches_s, share) / (self.quickest_s * SPINS_A_STRETCH)
        return slowness if slowness > QUIET else 1.0

    def as_json(self) -> str:
        rows = [
            asdict(row.figure)
            | {"test": row.test, "ratio": row.figure.ratio, "noise": asdict(row.noise), "slowest": row.slowest}
            for row in self.rows
        ]
        return json.dumps({"promises": rows, "repeats": self.repeats, "while_busy": self.while_busy}, indent=1) + "\n"


RUN: Final = pytest.StashKey[Run]()


@pytest.fixture
def promise(request: pytest.FixtureRequest) -> Promise:
    """`promise("a 504 comes within 50 ms of its deadline", late_s, at_most=0.05)`"""
    run = request.config.stash[RUN] if request.param == IN_TIME else None
    made = Promise(is_measured=run is not None, run=run)
    if run is not None:
        run.now = made
    return made


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--promises-json", type=Path, metavar="FILE", help="write the measured promises to FILE")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RUN] = Run()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One body, two tests."""
    if "promise" in metafunc.fixturenames:
        is_only_timing = metafunc.definition.get_closest_marker("timing") is not None
        works = [] if is_only_timing else [pytest.param(WORKS, id=WORKS)]
        in_time = pytest.param(IN_TIME, id=IN_TIME, marks=pytest.mark.timing)
        metafunc.parametrize("promise", [*works, in_time], indirect=True)


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timing") and "promise" not in getattr(item, "fixturenames", ()):
            raise pytest.UsageError(f"{item.nodeid} is marked timing and takes no `promise`")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    yield
    now = item.config.stash[RUN].now
    if now is not None and item.get_closest_marker("timing") is not None:
        assert now.figures, "it is marked timing and measured nothing"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A promise that was missed is measured once more; what else goes wrong is red at once."""
    if item.get_closest_marker("timing") is None:
        return None
    run = item.config.stash[RUN]
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports, rows = _attempt(item, nextitem, run)
    if any(not row.figure.is_kept for row in rows):
        run.repeats.append(item.nodeid)
        run.while_busy += [] if rows[0].noise.is_quiet else [item.nodeid]
        item.session._setupstate.teardown_exact(None)
        item._initrequest()  # type: ignore[attr-defined]
        run.quickest_s = until_quiet(run.quickest_s, looks=LOOKS)
        reports, rows = _attempt(item, nextitem, run)
    run.rows += rows
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    run = session.config.stash[RUN]
    if run.is_failed and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    path: Path | None = session.config.getoption("--promises-json")
    if path is not None:
        path.write_text(run.as_json())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    run = config.stash[RUN]
    if not run.rows:
        return
    terminalreporter.section("promises")
    head = f"{'measured':>10}    {'bound':<9} {'ratio':>6}  {'noise: timer, spin p50/p99':30} {'work':>5}  promise"
    for line in (head, *run.rows):
        terminalreporter.write_line(str(line))
    busy = f", {len(run.while_busy)} of them missed on a busy machine" if run.while_busy else ""
    said = f"{len(run.rows)} promises, {len(run.repeats)} measured twice{busy} (at most {MOST_REPEATS} may be)"
    terminalreporter.write_line(
        ": ".join([said, *([", ".join(run.repeats)] if run.repeats else [])]), red=run.is_failed
    )


def _attempt(item: pytest.Item, nextitem: pytest.Item | None, run: Run) -> tuple[list[pytest.TestReport], list[Row]]:
    """Run the test, with a look at the machine before and after."""
    run.now = None
    before = sample()
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    noise = run.noise(before + sample())
    return reports, [Row(item.nodeid, figure, noise, run.slowest_now()) for figure in run.figures_now()]
