"""Faults that somebody might make, by name: in what moves a robot, each must be noticed whatever else is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mutants.mutation import Mutant

__all__ = ["PLANTED", "Plant", "planted_in"]

MOTION: Final = "runner/reflex_runner/motion"
LOOP: Final = "runner/reflex_runner/loop"
ADMISSION: Final = "frontend/reflex_frontend/policy/admission.py"


@dataclass(frozen=True, slots=True)
class Plant:
    """`before` stands in the file once."""

    name: str
    path: str
    before: str
    after: str

    def in_source(self, source: str) -> Mutant:
        line = source[: source.index(self.before)].count("\n") + 1
        text = source.replace(self.before, self.after)
        return Mutant(self.path, line, self.name, _one_line(self.before), _one_line(self.after), text)


def planted_in(path: str, source: str) -> list[Mutant]:
    """Those of this module."""
    return [plant.in_source(source) for plant in PLANTED if plant.path == path]


def _one_line(text: str) -> str:
    return " ".join(text.split())


PLANTED: Final = (
    Plant(
        "who came first is next, whatever the deadlines", ADMISSION,
        "heapq.heappush(self._waiting, waiter)", "self._waiting.append(waiter)",
    ),
    Plant(
        "a place goes to who cannot use it any more", ADMISSION,
        "if self.now() + self.quickest_s <= waiter.deadline:", "if waiter.deadline:",
    ),
    Plant(
        "an urgent request is let in before those that it makes late", ADMISSION,
        "if self.is_full or late or self._would_make_late(deadline):", "if self.is_full or late:",
    ),
    Plant(
        "a place that comes in the instant of giving up is lost", ADMISSION,
        "self.leave(None)  # the place came in the same instant: pass it on", "pass",
    ),
    Plant(
        "who gave up stands in the queue for ever", ADMISSION,
        "self._waiting.remove(waiter)\n            heapq.heapify(self._waiting)", "pass",
    ),
    Plant(
        "the queue is no heap once somebody gave up", ADMISSION,
        "            heapq.heapify(self._waiting)\n", "",
    ),
    Plant(
        "what was prepared counts for ever", ADMISSION,
        "self._preparing -= 1", "self._preparing -= 0",
    ),
    Plant(
        "who is refused prepares all the same", ADMISSION,
        "        if self._has_to_wait:\n            self._refuse_hopeless(deadline)\n", "",
    ),
    Plant(
        "clamped before it is known to be finite", f"{MOTION}/command_guard.py",
        "self._guard.check(wanted[None], previous=self.commanded)",
        "self._guard.check(np.nan_to_num(wanted)[None], previous=self.commanded)",
    ),
    Plant(
        "the step counts from what was wanted", f"{MOTION}/command_guard.py",
        "self._previous = result.actions[0]", "self._previous = np.clip(wanted, -100, 100).astype(np.float32)",
    ),
    Plant(
        "the first command is zero", f"{MOTION}/command_guard.py",
        "self._previous = inside\n        return inside",
        "self._previous = np.zeros_like(inside)\n        return self._previous",
    ),
    Plant(
        "a robot far outside its range is let in", f"{MOTION}/command_guard.py",
        "if outside.any():", "if outside.all():",
    ),
    Plant(
        "a command that needed no change does not end the row", f"{MOTION}/command_guard.py",
        "self._clamped_in_a_row + 1 if result.clamped else 0",
        "self._clamped_in_a_row + bool(result.clamped)",
    ),
    Plant(
        "a chunk is dated by its arrival", f"{MOTION}/chunk_buffer.py",
        "position = (now - chunk.captured_s) / chunk.step_s", "position = (now - chunk.received_s) / chunk.step_s",
    ),
    Plant(
        "an older chunk takes the place of a newer one", f"{MOTION}/chunk_buffer.py",
        "chunk.captured_s <= self._newest.captured_s", "chunk.captured_s == self._newest.captured_s",
    ),
    Plant(
        "a chunk is not looked at before it is followed", f"{MOTION}/chunk_buffer.py",
        "self._guard.check(chunk.actions)", "pass",
    ),
    Plant(
        "nothing is interpolated", f"{MOTION}/chunk_buffer.py",
        "below + (above - below) * (position - index)", "below + (above - below) * 0",
    ),
    Plant(
        "the last action is played for ever", f"{MOTION}/chunk_buffer.py",
        "            return None\n        return _between(chunk.actions, max(0.0, position))",
        "            position = len(chunk.actions) - 1.0\n        return _between(chunk.actions, max(0.0, position))",
    ),
    Plant(
        "an observation from the future is taken", f"{MOTION}/chunk_buffer.py",
        "if not chunk.captured_s <= now + MOST_AHEAD_S:", "if not chunk.captured_s <= now + 60:",
    ),
    Plant(
        "the hold comes one period late", f"{MOTION}/freshness.py",
        "if age_s < self.hold_after_s:", "if age_s < self.hold_after_s + 1 / 30:",
    ),
    Plant(
        "nothing is ever old enough to stop", f"{MOTION}/freshness.py",
        'return "hold" if age_s < self.stop_after_s else "stop"', 'return "hold"',
    ),
    Plant(
        "a chunk is as old as its arrival", f"{MOTION}/pilot.py",
        'if chunk is None or self._freshness.judge(now - chunk.captured_s) != "fresh":',
        'if chunk is None or self._freshness.judge(now - chunk.received_s) != "fresh":',
    ),
    Plant(
        "the latch is forgotten when the stop is over", f"{MOTION}/pilot.py",
        "if self._descent is not None:\n            return Tick",
        "if self._descent is not None and not self._descent.is_over:\n            return Tick",
    ),
    Plant(
        "a later cause takes the place of the first", f"{MOTION}/pilot.py",
        "if self._cause is not None:\n            return\n", "if self._cause is cause:\n            return\n",
    ),
    Plant(
        "a hold commands nothing", f"{MOTION}/pilot.py",
        'return Tick(0, now, "hold", command=self._guard.commanded)', 'return Tick(0, now, "hold")',
    ),
    Plant(
        "a stop moves a robot that nobody moves", f"{MOTION}/pilot.py",
        "descends = self._applies and not is_stopped_already", "descends = not is_stopped_already",
    ),
    Plant(
        "what waits for its first command is never given up", f"{MOTION}/pilot.py",
        "elif not self.has_begun and now - began_s >= self._settings.begin_within_s:", "elif now < began_s:",
    ),
    Plant(
        "the first chunk is not eased into", f"{MOTION}/joining.py",
        "least_s = max(self._blend_s, self._ease_in_s)", "least_s = self._blend_s",
    ),
    Plant(
        "a chunk that comes meanwhile ends the easing in", f"{MOTION}/joining.py",
        "least_s = max(self._blend_s, easing_s)", "least_s = self._blend_s",
    ),
    Plant(
        "a wide gap is closed as quickly as a small one", f"{MOTION}/seam.py",
        "lasts_s = max(at_least_s, float(np.max(np.abs(gap) / speed)))", "lasts_s = at_least_s",
    ),
    Plant(
        "torque goes off where that is not declared safe", f"{MOTION}/descent.py",
        'if rung != "release" or ladder.release_is_safe', "if rung",
    ),
    Plant(
        "a robot that was never moved goes to its rest pose", f"{MOTION}/descent.py",
        "if not has_begun:\n", "if not has_begun and not ladder.rungs:\n",
    ),
    Plant(
        "a rung that fails ends the ladder", f"{MOTION}/descent.py",
        "if failed == self.rung:\n            self._next()", "self._waiting.clear()",
    ),
    Plant(
        "a return to rest that fails leaves the robot pushing", f"{MOTION}/descent.py",
        'if not self._waiting and failed == "return_to_rest":\n            self._act = "hold"', "pass",
    ),
    Plant(
        "the schema widens the robot's range", f"{MOTION}/limits.py",
        "low=_each(max, robot.action_low, other.action_low)", "low=_each(min, robot.action_low, other.action_low)",
    ),
    Plant(
        "a faster loop may go faster", f"{MOTION}/limits.py",
        "share = min(1.0, period_s * robot.control_hz)", "share = 1.0",
    ),
    Plant(
        "a frozen camera is sent", f"{MOTION}/usable.py", "if not age_s <= limit_s:", "if age_s != age_s:",
    ),
    Plant(
        "in dry_run there are hands", f"{LOOP}/hands.py",
        'return Hands(connector, period_s) if mode == "apply_actions" else None',
        "return Hands(connector, period_s) if mode else None",
    ),
    Plant(
        "what was missed is made up for in a burst", f"{LOOP}/control_loop.py",
        "return moment + (1 + missed) * self._period_s", "return moment + self._period_s",
    ),
    Plant(
        "the grid drifts", f"{LOOP}/control_loop.py",
        "return moment + (1 + missed) * self._period_s", "return self._clock.now() + self._period_s",
    ),
    Plant(
        "a robot that the watchdog stopped is moved to rest", f"{LOOP}/control_loop.py",
        "is_stopped_already=verdict.has_acted", "is_stopped_already=False",
    ),
    Plant(
        "the session is not asked", f"{LOOP}/control_loop.py",
        "if self._permit is None or self._hands is None else self._permit.refusal(now)", "",
    ),
    Plant(
        "nobody watches the first command", f"{LOOP}/control_loop.py",
        "                self._watch.arm()\n", "",
    ),
    Plant(
        "the last error comes first", f"{LOOP}/tally.py",
        "self._errors.append(problem)", "self._errors.insert(0, problem)",
    ),
    Plant(
        "a bad key is tried again and again", f"{LOOP}/inference.py",
        "return may_mend or error.status in PASSING_STATUSES", "return may_mend or error.status > 0",
    ),
    Plant(
        "an old observation is sent", f"{LOOP}/inference.py",
        "if not self._is_usable(observation):", "if self._is_usable(observation) is None:",
    ),
    Plant(
        "an old state says where the robot is", f"{LOOP}/senses.py",
        "if newest is None or not now - newest.captured_s <= MOST_PERIODS * self._period_s:", "if newest is None:",
    ),
    Plant(
        "a runner that dies is not noticed", f"{LOOP}/heartbeats.py",
        "if not heard:\n            return is_armed", "if not heard:\n            return False",
    ),
    Plant(
        "a frozen runner is waited for", f"{LOOP}/heartbeats.py",
        "patience_s = PATIENCE_S if heard.endswith(PATIENCE) else silence_s", "patience_s = PATIENCE_S",
    ),
)  # fmt: skip
