"""Training runs: queued, followed, cancelled and waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reflex.control import training_asks as asks
from reflex.control.following import log_lines, wait_for_run
from reflex.control.opening import open_client
from reflex.control.training_objects import TrainingRun, TrainingRuns
from reflex.sdk.asking import answer
from reflex.training.request import Dtype, LoraOptions, Method, Then, TrainingRequest
from reflex.training.states import RunState

__all__ = [
    "cancel_training_run",
    "get_training_run",
    "list_training_runs",
    "start_training_run",
    "training_run_logs",
    "wait_for_training_run",
]


def start_training_run(
    *,
    dataset_id: str,
    base: str,
    method: Method = "full_finetune",
    steps: int = 20_000,
    batch_size: int = 8,
    seed: int = 1_000,
    save_every: int | None = None,
    warmup_steps: int | None = None,
    dtype: Dtype = "float32",
    learning_rate: float | None = None,
    lora: LoraOptions | None = None,
    then: Sequence[Then] = (),
    name: str | None = None,
    request_id: str | None = None,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> TrainingRun:
    """Queue a run on a valid dataset; the same `request_id` is the same run. Every bound is checked before."""
    request = TrainingRequest(
        dataset_id=dataset_id, base=base, method=method, steps=steps, batch_size=batch_size, seed=seed,
        save_every=save_every, warmup_steps=warmup_steps, dtype=dtype, learning_rate=learning_rate, lora=lora,
        then=tuple(then), name=name,
    )  # fmt: skip
    return answer(asks.start_training_run(request, request_id=request_id), api_key, convex_url, backend_url)


def list_training_runs(
    *,
    all: bool = False,  # noqa: A002
    state: RunState | None = None,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> TrainingRuns:
    """The runs of your key, or `all` with their positions in the queue, as `{"runs": [...]}`."""
    with open_client(api_key, convex_url=convex_url, backend_url=backend_url) as client:
        found = page = client.list_training_runs(all=all, state=state)
        while (after := page.get("nextAfter")) is not None:
            page = client.list_training_runs(all=all, state=state, after=after)
            found["runs"] += page["runs"]
    return {**found, "nextAfter": None}


def get_training_run(
    run_id: str,
    *,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> TrainingRun:
    """One run: its state, its position in the queue, and how far it is."""
    return answer(asks.get_training_run(run_id), api_key, convex_url, backend_url)


def training_run_logs(
    run_id: str,
    *,
    follow: bool = False,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> Iterator[str]:
    """The lines of its log; with `follow` those that come until it has ended, too."""
    with open_client(api_key, convex_url=convex_url, backend_url=backend_url) as client:
        for line in log_lines(client, run_id, follow=follow):
            yield line["text"]


def cancel_training_run(
    run_id: str,
    *,
    reason: str | None = None,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> TrainingRun:
    """Cancel it: at once where it waits, else by its worker, which hears of it at its next beat."""
    return answer(asks.cancel_training_run(run_id, reason=reason), api_key, convex_url, backend_url)


def wait_for_training_run(
    run_id: str,
    *,
    timeout_s: float | None = None,
    api_key: str | None = None,
    convex_url: str | None = None,
    backend_url: str | None = None,
) -> TrainingRun:
    """The run, once it has ended; `ClientTimeoutError` when that takes longer than `timeout_s`, and it goes on."""
    with open_client(api_key, convex_url=convex_url, backend_url=backend_url) as client:
        return wait_for_run(client, run_id, timeout_s=timeout_s)
