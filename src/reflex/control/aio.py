"""The asyncio client: every operation of `reflex.control.asks` is a method of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from reflex.client.connection import AsyncConnection
from reflex.control import asks, training_asks
from reflex.control.ask import Ask
from reflex.control.calling import DEFAULT_DEADLINE_S, DEFAULT_URL, Calling, looks_like_a_method_of

__all__ = ["AsyncControlClient"]

P = ParamSpec("P")
ResultT = TypeVar("ResultT")


def _awaited(
    ask: Callable[P, Ask[ResultT]],
) -> Callable[Concatenate[AsyncControlClient, P], Coroutine[Any, Any, ResultT]]:
    @looks_like_a_method_of(ask)
    async def method(client: AsyncControlClient, /, *arguments: P.args, **named: P.kwargs) -> ResultT:
        return await client.answer(ask(*arguments, **named))

    return method


class AsyncControlClient:
    """A connection to one control plane; may be shared by the tasks of one event loop. Use it with `async with`, or
    await `close`.

    `api_key` goes with every request that needs one; `reflex.control.open_client` finds the stored one. `deadline_s` is
    the total of a call, its retries and waits included. What creates something carries an Idempotency-Key, and the same
    one on each retry. `transport` replaces the network, as `reflex.client.MockTransport` in tests.
    """

    def __init__(
        self,
        backend_url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        deadline_s: float = DEFAULT_DEADLINE_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._calling = Calling(backend_url, api_key, deadline_s)
        self._connection = AsyncConnection(self._calling.base_url, transport=transport)

    async def answer(self, ask: Ask[ResultT]) -> ResultT:
        """Send one operation; raises the errors of `reflex.control.errors`."""
        with self._calling.in_our_words(ask):
            answer = await self._connection.answer(self._calling.plan_of(ask))
            return self._calling.result_of(ask, answer)

    async def close(self) -> None:
        """Close every connection."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    authorize_session = _awaited(asks.authorize_session)
    beat_training_run = _awaited(training_asks.beat_training_run)
    cancel_device_login = _awaited(asks.cancel_device_login)
    cancel_training_run = _awaited(training_asks.cancel_training_run)
    claim_pairing_token = _awaited(asks.claim_pairing_token)
    claim_training_run = _awaited(training_asks.claim_training_run)
    close_session = _awaited(asks.close_session)
    confirm_device_login = _awaited(asks.confirm_device_login)
    create_deployment = _awaited(asks.create_deployment)
    create_key = _awaited(asks.create_key)
    create_pairing_token = _awaited(asks.create_pairing_token)
    end_training_run = _awaited(training_asks.end_training_run)
    export_receipts = _awaited(asks.export_receipts)
    get_dataset = _awaited(training_asks.get_dataset)
    get_deployment = _awaited(asks.get_deployment)
    get_session = _awaited(asks.get_session)
    get_training_log = _awaited(training_asks.get_training_log)
    get_training_metrics = _awaited(training_asks.get_training_metrics)
    get_training_run = _awaited(training_asks.get_training_run)
    heartbeat_robot = _awaited(asks.heartbeat_robot)
    list_datasets = _awaited(training_asks.list_datasets)
    list_deployments = _awaited(asks.list_deployments)
    list_keys = _awaited(asks.list_keys)
    list_models = _awaited(asks.list_models)
    list_receipts = _awaited(asks.list_receipts)
    list_robot_schemas = _awaited(asks.list_robot_schemas)
    list_robots = _awaited(asks.list_robots)
    list_sessions = _awaited(asks.list_sessions)
    list_training_runs = _awaited(training_asks.list_training_runs)
    note_dataset_validation = _awaited(training_asks.note_dataset_validation)
    promote_session = _awaited(asks.promote_session)
    public_keys = _awaited(asks.public_keys)
    refuse_device_login = _awaited(asks.refuse_device_login)
    register_dataset = _awaited(training_asks.register_dataset)
    register_model = _awaited(asks.register_model)
    register_robot = _awaited(asks.register_robot)
    register_robot_schema = _awaited(asks.register_robot_schema)
    report_safe_stop = _awaited(asks.report_safe_stop)
    revoke_key = _awaited(asks.revoke_key)
    revoke_model = _awaited(asks.revoke_model)
    revoke_robot = _awaited(asks.revoke_robot)
    rotate_key = _awaited(asks.rotate_key)
    run_deployment_doctor = _awaited(asks.run_deployment_doctor)
    start_device_login = _awaited(asks.start_device_login)
    start_training_run = _awaited(training_asks.start_training_run)
    take_device_login = _awaited(asks.take_device_login)
    whoami = _awaited(asks.whoami)
