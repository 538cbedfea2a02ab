"""What PyTorch takes is said policy by policy and kind by kind, whatever of them fails."""

from __future__ import annotations

from collections.abc import Iterator

from reflex_bench.gpu_check.rows import LeftOut, Row
from reflex_bench.gpu_check.stages.in_torch import measure_kinds


class Policy:
    cameras = 3

    def __init__(self, family: str, failing: str) -> None:
        self.family, self._failing = family, failing

    def part_ms(self, part: str, kind: str) -> float:
        if f"{kind} {part}" in self._failing:
            raise RuntimeError("Failed to find C compiler.\nPlease specify one via CC")
        return {"encoder": 1.0, "denoise": 4.0}[part]


def heard(*failing: str) -> list[str]:
    emitted: list[Row | LeftOut] = []

    def policies() -> Iterator[Policy]:
        for family, fails in zip(("smolvla", "pi0"), failing, strict=True):
            emitted.append(LeftOut(f"{family} is translated"))
            yield Policy(family, fails)

    measure_kinds(policies(), "CUDA graph", lambda _family, _cameras: 10.0, emitted.append)
    return [one.why if isinstance(one, LeftOut) else f"{one.what} {one.value:g}" for one in emitted]


def told(family: str, kind: str) -> list[str]:
    of = f"{family}, PyTorch {kind}"
    return [
        f"{of}: encoder 1",
        f"{of}: denoise 4",
        f"{of}: together 5",
        f"{family}: ONNX Runtime over PyTorch {kind} 2",
    ]


def test_every_policy_is_measured_eager_before_anything_is_compiled() -> None:
    assert heard("", "") == [
        "smolvla is translated", *told("smolvla", "eager"), "pi0 is translated", *told("pi0", "eager"),
        *told("smolvla", "compiled"), *told("pi0", "compiled"),
    ]  # fmt: skip


def test_without_a_compiler_all_that_is_eager_is_kept_and_each_kind_that_fails_says_why() -> None:
    why = "PyTorch compiled: Failed to find C compiler. ... Please specify one via CC"

    assert heard("compiled encoder", "compiled denoise eager denoise") == [
        "smolvla is translated",
        *told("smolvla", "eager"),
        "pi0 is translated",
        "pi0, PyTorch eager: encoder 1",
        f"pi0, {why.replace('compiled', 'eager')}",
        f"smolvla, {why}",
        "pi0, PyTorch compiled: encoder 1",
        f"pi0, {why}",
    ]
