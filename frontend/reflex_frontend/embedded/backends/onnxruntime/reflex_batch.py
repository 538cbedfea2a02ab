"""Runs the requests of one batch together: concatenated along the batch axis, run once and split again.

When a batch fails, its requests are run one by one, so that only the bad one gets an error.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

__all__ = ["Feed", "Outcome", "Run", "run_each", "run_together"]

Feed = dict[str, np.ndarray]
"""The inputs of one request by name, with their batch axis."""
Outcome = list[np.ndarray] | Exception
"""The outputs of one request in the order that was asked for, or what went wrong."""
Run = Callable[[Feed], list[np.ndarray]]


def run_each(run: Run, feeds: Sequence[Feed]) -> list[Outcome]:
    """One after the other."""
    return [_outcome(run, feed) for feed in feeds]


def run_together(run: Run, feeds: Sequence[Feed], most_rows: int = 0) -> list[Outcome]:
    """In as few runs as their shapes and `most_rows` allow (0: any), an outcome for each, in their order."""
    if len(feeds) == 1:
        return run_each(run, feeds)
    outcomes: list[Outcome] = [[]] * len(feeds)
    for members in _pieces(feeds, most_rows):
        for index, outcome in zip(members, _run_batch(run, [feeds[i] for i in members]), strict=True):
            outcomes[index] = outcome
    return outcomes


def _outcome(run: Run, feed: Feed) -> Outcome:
    try:
        return run(feed)
    except Exception as exc:  # noqa: BLE001 - ONNX Runtime raises classes without a root
        return exc


def _run_batch(run: Run, feeds: list[Feed]) -> list[Outcome]:
    if len(feeds) == 1:
        return run_each(run, feeds)
    sizes = [_rows(feed) for feed in feeds]
    whole = {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}
    try:
        outputs = run(whole)
    except Exception:  # noqa: BLE001 - which request is to blame shows when each runs alone
        return run_each(run, feeds)
    # An output without the batch axis cannot be split; alone, each request gets its own.
    if any(output.ndim == 0 or output.shape[0] != sum(sizes) for output in outputs):
        return run_each(run, feeds)
    ends = np.cumsum(sizes)
    return [[output[end - size : end] for output in outputs] for size, end in zip(sizes, ends, strict=True)]


def _pieces(feeds: Sequence[Feed], most_rows: int) -> Iterator[list[int]]:
    """Indices of the requests that run together."""
    for members in _same_shapes(feeds):
        piece, rows = [], 0
        for index in members:
            if piece and most_rows and rows + _rows(feeds[index]) > most_rows:
                yield piece
                piece, rows = [], 0
            piece.append(index)
            rows += _rows(feeds[index])
        yield piece


def _rows(feed: Feed) -> int:
    return next(iter(feed.values())).shape[0]


def _same_shapes(feeds: Sequence[Feed]) -> list[list[int]]:
    """Indices of the requests that may run together: the same inputs, equal but for the batch axis."""
    groups: dict[tuple, list[int]] = {}
    for index, feed in enumerate(feeds):
        key = tuple(sorted((name, value.shape[1:]) for name, value in feed.items()))
        groups.setdefault(key, []).append(index)
    return list(groups.values())
