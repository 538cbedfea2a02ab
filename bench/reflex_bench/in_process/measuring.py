"""`Measuring`: the served policy and LeRobot's own process play the same seeds, with JPEG and with raw pictures."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reflex.errors import SetupError
from reflex_bench.in_process import lerobot_act
from reflex_learning.default_policy.commands import Reflex, answering, reflex_json, served
from reflex_learning.default_policy.stages import Stages
from reflex_runner.evaluation.intervals import Interval, Pairs, paired_difference

__all__ = ["MARGIN", "PICTURES", "Found", "Measuring", "in_process"]

PICTURES: Final = ("jpeg", "raw")
MARGIN: Final = 0.03
"""Of success, to either side: no interval may reach further."""
LOAD_S: Final = 600.0
"""LeRobot takes a minute to be imported on a busy computer."""


@dataclass(frozen=True, slots=True)
class Found:
    """Of one kind of pictures. The first of each pair is the served policy."""

    pictures: str
    pairs: Pairs
    same_steps: int
    """Seeds that took both as many steps."""

    @property
    def interval(self) -> Interval:
        """Newcombe's, of 95 %, of LeRobot's success rate less the served one's."""
        return paired_difference(self.pairs)

    @property
    def is_equal(self) -> bool:
        """Whether it holds 0, and reaches no further than the margin."""
        low, high = self.interval
        return -MARGIN <= low <= 0 <= high <= MARGIN


def in_process(lerobot: Path, checkpoint: Path) -> AbstractContextManager[str]:
    """The address at which LeRobot, in its own environment, answers for the checkpoint."""
    program = [str(lerobot / "bin" / "python"), lerobot_act.__file__, str(checkpoint), "--port"]
    return answering(lambda port: [*program, port], LOAD_S)


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """`repository` has the policy that was exported from the checkpoint; what was played stays in the folder."""

    checkpoint: Path
    lerobot: Path
    repository: Path
    policy: str
    folder: Path
    seeds: range
    batch: int
    picture_px: int
    instruction: str
    say: Callable[[str], None]
    reflex: Reflex = reflex_json
    serve: Callable[[Path, str], AbstractContextManager[str]] = served
    run: Callable[[Path, Path], AbstractContextManager[str]] = in_process

    def measure(self) -> list[Found]:
        """All of it, or what an earlier call left to do. `ReflexError` says what to do where it does not go on."""
        stages = Stages(self.folder, self.say)
        stages.begin(self._compared())
        stages.done("same", f"{self.policy} is an export of {self.checkpoint}", self._verify)
        with self._both() as both:
            return [self._played(pictures, stages, both) for pictures in PICTURES]

    def _compared(self) -> dict[str, Any]:
        """What a folder belongs to, whichever seeds; `SetupError` where one of it is missing."""
        config, weights = self.repository / self.policy / "reflex_config.json", self.checkpoint / "model.safetensors"
        python = self.lerobot / "bin" / "python"
        for file, how in ((config, "--repository and --policy"), (weights, "CHECKPOINT"), (python, "LEROBOT")):
            if not file.exists():
                raise SetupError(f"there is no {file}: give {how}; `make train-default` makes all of them")
        with weights.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        return {
            "policyHash": json.loads(config.read_bytes())["policy_hash"], "weights": f"sha256:{digest}",
            "picturePx": self.picture_px, "instruction": self.instruction,
        }  # fmt: skip

    def _verify(self) -> dict[str, Any]:
        words = ("verify", str(self.repository), "--policy", self.policy, "--source", str(self.checkpoint))
        return {"verdict": self.reflex(*words)["verdict"]}

    @contextlib.contextmanager
    def _both(self) -> Iterator[Callable[[], tuple[str, str]]]:
        """Gives both addresses; each is started when they are first asked for."""
        with contextlib.ExitStack() as started:
            yield functools.cache(
                lambda: (
                    started.enter_context(self.serve(self.repository, self.policy)),
                    started.enter_context(self.run(self.lerobot, self.checkpoint)),
                )
            )

    def _played(self, pictures: str, stages: Stages, both: Callable[[], tuple[str, str]]) -> Found:
        parts = [
            stages.done(
                f"{pictures}_{first}_{last}", f"seeds {first} to {last - 1}, pictures as {pictures}",
                functools.partial(self._play, pictures, first, last, both),
            )
            for first, last in self._batches()
        ]  # fmt: skip
        pairs = [Pairs(*part["pairs"]) for part in parts]
        return Found(pictures, Pairs(*map(sum, zip(*pairs, strict=True))), sum(part["sameSteps"] for part in parts))

    def _batches(self) -> Sequence[tuple[int, int]]:
        return [(first, min(first + self.batch, self.seeds.stop)) for first in self.seeds[:: self.batch]]

    def _play(self, pictures: str, first: int, last: int, both: Callable[[], tuple[str, str]]) -> dict[str, Any]:
        served_at, own = both()
        told = self.reflex(
            "eval", "--url", served_at, "--against", own, "--seeds", f"{first}:{last}", f"--{pictures}",
            "--picture-px", str(self.picture_px), "--instruction", self.instruction,
        )  # fmt: skip
        against = told["against"]
        won = {name: against[name] for name in ("firstOnly", "secondOnly")}
        steps = [[each["steps"] for each in side["episodes"]] for side in (told, against["second"])]
        return {
            "pairs": [against["both"], *map(len, won.values()), against["neither"]], **won,
            "sameSteps": sum(one == other for one, other in zip(*steps, strict=True)),
        }  # fmt: skip
