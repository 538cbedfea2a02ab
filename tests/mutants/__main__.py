"""`make mutants`: plants small faults into the modules that guard robots and promises; the tests must notice each.

Prints every survivor as a diff, then a table. Exit code 1 when a survivor is not explained in mutants/targets.py, when
there are more than MAX_SURVIVORS, or when time was up before every fault had been tried.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Final

from mutants.mutation import Mutant, chosen, mutants_of
from mutants.planted import planted_in
from mutants.targets import EXPLAINED, TARGETS, Target
from mutants.trial import NEVER_IMPORTED, PASSED, Outcome, Trial, run_trials, warm_up

REPOSITORY: Final = Path(__file__).parents[2]
PER_MODULE: Final = 14
MAX_SURVIVORS: Final = 3
SLOWER: Final = 10
"""A fault may slow its tests down that much, and START_S more, before it counts as noticed by time-out."""
START_S: Final = 10.0
BASELINE_LIMIT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Result:
    """One fault and what became of it; `outcome` is None when time was up first."""

    target: Target
    mutant: Mutant
    outcome: Outcome | None

    @property
    def survived(self) -> bool:
        return self.outcome is not None and self.outcome.exit_code == PASSED


def main(
    arguments: Sequence[str] | None = None, targets: Sequence[Target] = TARGETS, repository: Path = REPOSITORY
) -> int:
    options = _options(arguments, [target.name for target in targets])
    ends_s = time.monotonic() + options.limit_s
    sources = {
        target: (repository / target.path).read_text(encoding="utf-8")
        for target in targets
        if options.module in (None, target.name)
    }
    warm_up()
    with tempfile.TemporaryDirectory(prefix="reflex-mutants-") as folder:
        run = partial(run_trials, repository=repository, scratch=Path(folder), workers=options.workers)
        limits_s = _limits_s(sources, run)
        planted = [
            (target, mutant)
            for target, source in sources.items()
            for mutant in faults_of(target, source, options.per_module, options.seed)
        ]
        in_time = takewhile(lambda _: time.monotonic() < ends_s, planted)
        outcomes: dict[int, Outcome] = {}
        for outcome in run(Trial(target, mutant.source, limits_s[target]) for target, mutant in in_time):
            outcomes[outcome.number] = outcome
            target, mutant = planted[outcome.number]
            if outcome.exit_code == PASSED:
                print(_portrait(mutant, sources[target]), flush=True)
    return _judge([Result(*one, outcomes.get(number)) for number, one in enumerate(planted)])


def faults_of(target: Target, source: str, per_module: int, seed: int) -> list[Mutant]:
    """What is always planted there, and what is drawn."""
    drawn = chosen(mutants_of(target.path, source), per_module, seed) if target.is_drawn else []
    return [*planted_in(target.path, source), *drawn]


def _options(arguments: Sequence[str] | None, names: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("make mutants", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--module", choices=names, help="only this one")
    parser.add_argument("--per-module", type=int, default=PER_MODULE, help="faults in each module; 0 is all there are")
    parser.add_argument("--seed", type=int, default=1, help="which of them")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--limit-s", type=float, default=1800.0, help="no fault is planted after so many seconds")
    return parser.parse_args(arguments)


def _limits_s(
    sources: Mapping[Target, str], run: Callable[[Iterable[Trial]], Iterable[Outcome]]
) -> dict[Target, float]:
    """How long each target's tests may take, from how long they take without a fault; they must pass then."""
    targets, limits_s = list(sources), {}
    for outcome in run(Trial(target, source, BASELINE_LIMIT_S) for target, source in sources.items()):
        target = targets[outcome.number]
        if outcome.exit_code != PASSED:
            trouble = "import it nowhere" if outcome.exit_code == NEVER_IMPORTED else "must pass without a fault"
            sys.exit(f"{outcome.log}\n{target.path}: {' '.join(target.tests)} {trouble}")
        limits_s[target] = START_S + SLOWER * outcome.took_s
    return limits_s


def _portrait(mutant: Mutant, source: str) -> str:
    where = f"{mutant.path}:{mutant.line} in {mutant.function or 'the module'}"
    return f"\nsurvived: {where}\n{mutant.diff(source)}\n{EXPLAINED.get(mutant.identity, 'not explained')}"


def _judge(results: Sequence[Result]) -> int:
    print(f"\n{'module':<14}{'faults':>8}{'noticed':>9}{'time-out':>10}{'survived':>10}{'not tried':>11}{'mean_s':>8}")
    for name in dict.fromkeys(one.target.name for one in results):
        print(f"{name:<14}{_row([one for one in results if one.target.name == name])}")
    print(f"{'all':<14}{_row(results)}")
    survivors = [one.mutant for one in results if one.survived]
    unexplained = [one for one in survivors if one.identity not in EXPLAINED]
    print(f"{len(survivors)} survivors, at most {MAX_SURVIVORS}; {len(unexplained)} without an explanation")
    is_complete = all(one.outcome is not None for one in results)
    return 0 if is_complete and not unexplained and len(survivors) <= MAX_SURVIVORS else 1


def _row(results: Sequence[Result]) -> str:
    tried = [one.outcome for one in results if one.outcome is not None]
    late = sum(one.exit_code is None for one in tried)
    survived = sum(one.exit_code == PASSED for one in tried)
    mean_s = sum(one.took_s for one in tried) / max(1, len(tried))
    noticed, untried = len(tried) - late - survived, len(results) - len(tried)
    return f"{len(results):>8}{noticed:>9}{late:>10}{survived:>10}{untried:>11}{mean_s:>8.1f}"


if __name__ == "__main__":
    sys.exit(main())
