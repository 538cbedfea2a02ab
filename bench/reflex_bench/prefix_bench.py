"""When `reflex serve --prefix-cache-mb` pays: what is saved by a kept prefix, and what it costs to move it.

    python -m reflex_bench.prefix_bench [--golden tests/golden] [--rounds 60] [--policy smolvla]...

Each policy is asked in turns as a whole, model by model, and from a prefix that is kept: over gRPC, as the server does,
and through shared memory of the system, as it could. The small checkpoints of tests/golden are exported first; for the
full sizes there are stand-ins, whose encoder takes no time: what they lose is what an encoder must take for a hit to
pay.
Prints a Markdown table. All ways must give the same bytes.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import orjson

from reflex.export_options import ExportOptions
from reflex_bench.exporting.wide_prefix import FULL_SIZES, wide_inputs, write_wide_policy
from reflex_bench.prefix_ways import Ways
from reflex_export.exporting.pipeline import export_checkpoint
from reflex_export.reading import read_checkpoint
from reflex_frontend.embedded import EmbeddedOptions, EmbeddedTriton
from reflex_frontend.observation.observation import NoiseSource, observation_tensors
from reflex_frontend.observation.request import parse_act
from reflex_frontend.policy.policy import find_repository, load_policy
from reflex_frontend.triton.gateway import RawTensor, TritonGateway
from reflex_frontend.triton.stages import Stages

__all__ = ["Measured", "main", "table_of"]

FAMILIES: Final = ("smolvla", "pi0", "pi05", "act")
SIDE_PX: Final = 224
READY_S: Final = 60.0
HEADER: Final = (
    "| policy | prefix | whole | model by model | kept | the same, shared | kept, shared | a hit saves |\n"
    "|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Medians in milliseconds by way, as `Ways.all` names them."""

    policy: str
    prefix_bytes: int
    ms: Mapping[str, float]

    @property
    def saved_ms(self) -> float:
        """By a hit of the server as it is."""
        return self.ms["whole"] - self.ms["kept"]

    def __str__(self) -> str:
        ways = ("whole", "by model", "kept", "by model, shared", "kept, shared")
        cells = [self.policy, _size(self.prefix_bytes), *(f"{self.ms[way]:.2f} ms" for way in ways)]
        return f"| {' | '.join(cells)} | {self.saved_ms:.2f} ms |"


@dataclass(frozen=True, slots=True)
class _Subject:
    repository: Path
    policy: str
    stages: Stages
    inputs: Sequence[RawTensor]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="reflex-prefix-bench-") as folder:
        subjects = _subjects(options.golden, Path(folder), options.policy)
        rows = [asyncio.run(_measured(subject, options.rounds)) for subject in subjects]
    print(table_of(rows))
    return 0


def table_of(rows: Sequence[Measured]) -> str:
    """As Markdown."""
    return "\n".join((HEADER, *map(str, rows)))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m reflex_bench.prefix_bench", description=__doc__)
    parser.add_argument("--golden", type=Path, default=Path("tests/golden"), help="folder of the small checkpoints")
    parser.add_argument("--rounds", type=int, default=60, help="how often each way is asked")
    parser.add_argument("--policy", action="append", help="one of those in the table; all when not given")
    return parser.parse_args(arguments)


def _subjects(golden: Path, folder: Path, only: Sequence[str] | None) -> Iterator[_Subject]:
    def is_wanted(name: str) -> bool:
        return only is None or name in only

    if is_wanted("demo"):
        yield _subject(find_repository(None), "demo")
    for family in filter(is_wanted, FAMILIES):
        options = ExportOptions(folder, family, embodiment="so101", check=False)
        export_checkpoint(read_checkpoint(golden / family), options)
        yield _subject(folder, family)
    for name, shape in FULL_SIZES.items():
        for precision in ("fp16", "fp32"):
            whole = f"{name}-size-{precision}"
            if is_wanted(whole):
                stages = write_wide_policy(folder, whole, shape, half=precision == "fp16")
                yield _Subject(folder, whole, stages, wide_inputs())


def _subject(repository: Path, name: str) -> _Subject:
    policy = load_policy(repository, name)
    config = policy.config
    request = parse_act(orjson.dumps({"instruction": "pick up the red cup", "state": [0.1] * config.state_dim}))
    images = {tensor.name: tensor.shape for tensor in config.inputs if tensor.name.startswith("image.")}
    pixels = {
        image.removeprefix("image."): np.full([SIDE_PX if side < 0 else side for side in shape], 128, np.uint8)
        for image, shape in images.items()
    }
    prompt = policy.prompts.encode(request.instruction, request.state) if policy.prompts else None
    assert policy.stages is not None
    return _Subject(
        repository, name, policy.stages, observation_tensors(config, request, pixels, prompt, NoiseSource())
    )


async def _measured(subject: _Subject, rounds: int) -> Measured:
    # As a server that keeps prefixes has it: each model can be asked by itself.
    options = EmbeddedOptions(model_repository=subject.repository, models=(subject.policy,), keeps_ensembles=True)
    triton = EmbeddedTriton(options)
    await triton.start()
    try:
        await _ready(triton.grpc_address, subject.policy)
        async with Ways(triton.grpc_address, subject.policy, subject.stages, subject.inputs) as ways:
            return Measured(subject.policy, ways.prefix_bytes, await _in_turns(ways, rounds))
    finally:
        await triton.stop()


async def _ready(address: str, policy: str) -> None:
    gateway = TritonGateway(address, policy)
    try:
        async with asyncio.timeout(READY_S):
            while not await gateway.is_model_ready():  # noqa: ASYNC110 - nobody else knows
                await asyncio.sleep(0.1)
    finally:
        await gateway.close()


async def _in_turns(ways: Ways, rounds: int) -> dict[str, float]:
    took: dict[str, list[float]] = {name: [] for name in ways.all}
    expected = await ways.all["whole"]()
    for _ in range(rounds):
        for name, way in ways.all.items():
            began = time.perf_counter()
            given = await way()
            took[name].append(time.perf_counter() - began)
            if given != expected:
                raise RuntimeError(f"{ways.policy}, {name}: other actions than as a whole")
    return {name: 1e3 * statistics.median(some) for name, some in took.items()}


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1_000_000 else f"{count / 1e3:.0f} kB"


if __name__ == "__main__":
    raise SystemExit(main())
