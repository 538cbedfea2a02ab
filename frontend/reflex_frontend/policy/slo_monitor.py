"""Whether the latency objective of a server is kept, and who passes while it is not.

Latencies go into a histogram per second; a check each second looks at those of the whole window. The bins are a power
apart and fixed to the threshold, so that "above the threshold" and "below 0.8 of it" are counted exactly.
"""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from reflex_frontend.slo import Slo

__all__ = ["SloMonitor"]


BINS_TO_CLEAR: Final = 5
CLEAR_SHARE: Final = 0.8
BIN_RATIO: Final = CLEAR_SHARE ** (-1 / BINS_TO_CLEAR)
"""1.0456: five bins below the threshold lies 0.8 of it."""
LOG_RATIO: Final = math.log(BIN_RATIO)
FURTHEST_BIN: Final = 150
"""800 times the threshold, and as far below; what lies beyond counts in the last bin."""
ROUNDING: Final = 1e-9
"""In bins: a latency of exactly the threshold is not above it, however its logarithm was rounded."""

PROBED_SHARE: Final = 20
PROBE_EVERY_S: Final = 1.0

WHILE_MISSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "log": "answers go on as before",
        "refuse": f"requests are refused, but for one in {PROBED_SHARE} and one each second",
        "degrade": "the variant with fewer denoising steps answers",
    }
)
"""What a server does, by its --slo-mode."""

log = logging.getLogger("reflex.slo")


class SloMonitor:
    """Knows whether the SLO is violated. For one thread; `now` is a monotonic clock in seconds.

    Violated: at a check, the percentile of the last `window_s` is above the threshold, over at least `min_samples`
    latencies of which `min_slow` were above it: one slow request among few is no violation. Cleared: at `clear_checks`
    checks in a row the percentile is below 0.8 of the threshold, or nothing was measured in the whole window. So what
    was slow must have left the window first: recovery takes about `window_s`.

    The checks are made up for by whichever call comes next: the state depends on when latencies were recorded, not on
    who asks. `window_s` is rounded to a whole number of checks. `name` and `mode` are what the log says: the slot, and
    what happens while the SLO is missed.
    """

    def __init__(
        self,
        slo: Slo,
        now: Callable[[], float],
        *,
        name: str = "",
        mode: str = "log",
        window_s: float = 30.0,
        min_samples: int = 50,
        min_slow: int = 3,
        check_every_s: float = 1.0,
        clear_checks: int = 3,
    ) -> None:
        self.slo = slo
        self._name = name
        self._while_missed = WHILE_MISSED[mode]
        self._limits: dict[str, Any] = {
            "name": name,
            "mode": mode,
            "window_s": window_s,
            "min_samples": min_samples,
            "min_slow": min_slow,
            "check_every_s": check_every_s,
            "clear_checks": clear_checks,
        }
        self.violations_total = 0
        """How often the SLO went from kept to violated."""
        self._now = now
        self._window_s = window_s
        self._min_samples = min_samples
        self._min_slow = min_slow
        self._check_every_s = check_every_s
        self._clear_checks = clear_checks
        self._is_violated = False
        self._passed_checks = 0
        """Consecutive ones below 0.8, while violated."""
        self._window = _Window(max(1, round(window_s / check_every_s)))
        self._next_check_at = now() + check_every_s
        self._last_slow_at = -math.inf
        self._refused_since_probe = 0
        self._last_probe_at = -math.inf

    def renewed(self) -> SloMonitor:
        """The same objective, with nothing measured yet."""
        return SloMonitor(self.slo, self._now, **self._limits)

    def record(self, latency_s: float) -> None:
        """Count the latency of a 200. A 504 belongs here too, with the time it waited: it was slower than any 200."""
        self._catch_up()
        place = _bin_of(latency_s, self.slo.threshold_s)
        if place > -BINS_TO_CLEAR:
            self._last_slow_at = self._now()
        self._window.add(place)

    @property
    def is_violated(self) -> bool:
        self._catch_up()
        return self._is_violated

    @property
    def percentile_s(self) -> float | None:
        """The SLO's percentile over the window up to the last check, at most 4.6 % above the true one.

        None when the window is empty.
        """
        self._catch_up()
        place = self._window.percentile(self.slo.permille)
        return None if place is None else self.slo.threshold_s * BIN_RATIO**place

    @property
    def retry_after_s(self) -> float:
        """When the SLO can be kept again at the earliest, unless something slow comes: for Retry-After."""
        self._catch_up()
        leaves_window_s = max(0.0, self._last_slow_at + self._window_s - self._now())
        return leaves_window_s + (self._clear_checks - self._passed_checks) * self._check_every_s

    def admits(self) -> bool:
        """Whether this request may pass, for a server that refuses while the SLO is violated.

        If all were refused nothing would be measured any more. So one in 20 passes, and one each second.
        """
        if not self.is_violated:
            return True
        is_probe_due = self._now() - self._last_probe_at >= PROBE_EVERY_S
        if not is_probe_due and self._refused_since_probe < PROBED_SHARE - 1:
            self._refused_since_probe += 1
            return False
        self._refused_since_probe = 0
        self._last_probe_at = self._now()
        return True

    def _catch_up(self) -> None:
        overdue = math.floor((self._now() - self._next_check_at) / self._check_every_s) + 1
        if overdue <= 0:
            return
        # After that many the window is empty and the state final: no need to repeat it for each second of a night.
        for _ in range(min(overdue, self._window.slices + self._clear_checks)):
            self._check()
        self._next_check_at += overdue * self._check_every_s

    def _check(self) -> None:
        self._window.close_slice()
        place = self._window.percentile(self.slo.permille)
        if not self._is_violated:
            if place is not None and place > 0 and self._is_enough():
                self._set_violated(is_violated=True)
            return
        is_below = place is None or place <= -BINS_TO_CLEAR
        self._passed_checks = self._passed_checks + 1 if is_below else 0
        if self._passed_checks >= self._clear_checks:
            self._set_violated(is_violated=False)

    def _is_enough(self) -> bool:
        return self._window.count >= self._min_samples and self._window.count_above_threshold() >= self._min_slow

    def _set_violated(self, *, is_violated: bool) -> None:
        self._is_violated = is_violated
        self._passed_checks = 0
        self._refused_since_probe = 0
        self.violations_total += is_violated
        what = {"slot": self._name, "slo": self.slo.text, "measured_ms": self._measured_ms()}
        if is_violated:
            log.warning("SLO missed: %s", self._while_missed, extra=what)
        else:
            log.info("SLO kept again: all is as before", extra=what)

    def _measured_ms(self) -> float | str:
        place = self._window.percentile(self.slo.permille)
        return "no answers" if place is None else round(self.slo.threshold_s * BIN_RATIO**place * 1000, 1)


class _Window:
    """Latencies by bin, of the last `slices` slices of time; the newest is still open and not in the sums."""

    def __init__(self, slices: int) -> None:
        self.slices = slices
        self.count = 0
        self._open: Counter[int] = Counter()
        self._closed: deque[Counter[int]] = deque()
        self._sums: Counter[int] = Counter()

    def add(self, place: int) -> None:
        self._open[place] += 1

    def close_slice(self) -> None:
        self._closed.append(self._open)
        self._sums += self._open
        self.count += self._open.total()
        self._open = Counter()
        if len(self._closed) > self.slices:
            oldest = self._closed.popleft()
            self._sums -= oldest
            self.count -= oldest.total()

    def count_above_threshold(self) -> int:
        return sum(count for place, count in self._sums.items() if place > 0)

    def percentile(self, permille: int) -> int | None:
        """The bin of the smallest latency that at least `permille` of all do not exceed; None without any."""
        rank = -(-permille * self.count // 1000)
        for place in sorted(self._sums):
            rank -= self._sums[place]
            if rank <= 0:
                return place
        return None


def _bin_of(latency_s: float, threshold_s: float) -> int:
    """Bin i holds what is above threshold x ratio^(i - 1) and not above threshold x ratio^i."""
    if latency_s <= 0:
        return -FURTHEST_BIN
    place = math.ceil(math.log(latency_s / threshold_s) / LOG_RATIO - ROUNDING)
    return max(-FURTHEST_BIN, min(FURTHEST_BIN, place))
