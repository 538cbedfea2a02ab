"""The client that waits: every operation of `reflex.control.asks` is a method of it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import httpx

from reflex.client.connection import Connection
from reflex.control import asks, training_asks
from reflex.control.ask import Ask
from reflex.control.calling import DEFAULT_DEADLINE_S, DEFAULT_URL, Calling, looks_like_a_method_of
from reflex.control.event_feed import EventFeed

__all__ = ["ControlClient"]

P = ParamSpec("P")
ResultT = TypeVar("ResultT")


def _asked(ask: Callable[P, Ask[ResultT]]) -> Callable[Concatenate[ControlClient, P], ResultT]:
    @looks_like_a_method_of(ask)
    def method(client: ControlClient, /, *arguments: P.args, **named: P.kwargs) -> ResultT:
        return client.answer(ask(*arguments, **named))

    return method


class ControlClient:
    """A connection to one control plane; may be shared by threads. Use it as a context manager, or call
    `close`.

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._calling = Calling(backend_url, api_key, deadline_s)
        self._connection = Connection(self._calling.base_url, transport=transport)

    def answer(self, ask: Ask[ResultT]) -> ResultT:
        """Send one operation; raises the errors of `reflex.control.errors`."""
        with self._calling.in_our_words(ask):
            answer = self._connection.answer(self._calling.plan_of(ask))
            return self._calling.result_of(ask, answer)

    def event_feed(self, kind: str) -> EventFeed:
        """What changes as it changes, `session` or `heartbeat`; on a connection of its own, which its reader closes."""
        return EventFeed(self._calling.base_url, self._calling.key, kind)

    def close(self) -> None:
        """Close every connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    authorize_session = _asked(asks.authorize_session)
    beat_training_run = _asked(training_asks.beat_training_run)
    cancel_device_login = _asked(asks.cancel_device_login)
    cancel_training_run = _asked(training_asks.cancel_training_run)
    claim_pairing_token = _asked(asks.claim_pairing_token)
    claim_training_run = _asked(training_asks.claim_training_run)
    close_session = _asked(asks.close_session)
    confirm_device_login = _asked(asks.confirm_device_login)
    create_deployment = _asked(asks.create_deployment)
    create_key = _asked(asks.create_key)
    create_pairing_token = _asked(asks.create_pairing_token)
    end_training_run = _asked(training_asks.end_training_run)
    export_receipts = _asked(asks.export_receipts)
    get_dataset = _asked(training_asks.get_dataset)
    get_deployment = _asked(asks.get_deployment)
    get_session = _asked(asks.get_session)
    get_training_log = _asked(training_asks.get_training_log)
    get_training_metrics = _asked(training_asks.get_training_metrics)
    get_training_run = _asked(training_asks.get_training_run)
    heartbeat_robot = _asked(asks.heartbeat_robot)
    list_datasets = _asked(training_asks.list_datasets)
    list_deployments = _asked(asks.list_deployments)
    list_keys = _asked(asks.list_keys)
    list_models = _asked(asks.list_models)
    list_receipts = _asked(asks.list_receipts)
    list_robot_schemas = _asked(asks.list_robot_schemas)
    list_robots = _asked(asks.list_robots)
    list_sessions = _asked(asks.list_sessions)
    list_training_runs = _asked(training_asks.list_training_runs)
    note_dataset_validation = _asked(training_asks.note_dataset_validation)
    promote_session = _asked(asks.promote_session)
    public_keys = _asked(asks.public_keys)
    refuse_device_login = _asked(asks.refuse_device_login)
    register_dataset = _asked(training_asks.register_dataset)
    register_model = _asked(asks.register_model)
    register_robot = _asked(asks.register_robot)
    register_robot_schema = _asked(asks.register_robot_schema)
    report_safe_stop = _asked(asks.report_safe_stop)
    revoke_key = _asked(asks.revoke_key)
    revoke_model = _asked(asks.revoke_model)
    revoke_robot = _asked(asks.revoke_robot)
    rotate_key = _asked(asks.rotate_key)
    run_deployment_doctor = _asked(asks.run_deployment_doctor)
    start_device_login = _asked(asks.start_device_login)
    start_training_run = _asked(training_asks.start_training_run)
    take_device_login = _asked(asks.take_device_login)
    whoami = _asked(asks.whoami)
