"""The refusal of a full instance: whole, current, and each with an id of its own."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass

from reflex.errors import ServiceError, UnavailableError
from reflex_frontend.http.refusal import FRESH_S, QuickRefusal


@dataclass
class Instance:
    """What the refusal asks of its server."""

    time_s: float = 100.0
    retry_after_s: float = 0.4
    is_full: bool = True

    def refusal(self) -> QuickRefusal:
        return QuickRefusal(lambda: self.is_full, self.error, lambda: self.time_s)

    def error(self) -> ServiceError:
        return UnavailableError("queue_full", "wait", retry_after_s=self.retry_after_s, context={"max_queue": 4})


def parsed(answer: bytes | None) -> tuple[bytes, dict[str, object]]:
    assert answer is not None
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    return head, json.loads(body)


def test_it_is_the_envelope_with_retry_after_and_the_queues_fields() -> None:
    head, body = parsed(Instance().refusal()())
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in head
    assert b"connection: close" not in head
    assert (body["error"], body["max_queue"], body["retry_after_s"]) == ("queue_full", 4, 0.4)


def test_every_refusal_has_an_id_of_its_own() -> None:
    refusal = Instance().refusal()
    ids = {str(parsed(refusal())[1]["request_id"]) for _ in range(100)}
    assert len(ids) == 100
    assert {uuid.UUID(one).version for one in ids} == {4}


def test_two_servers_do_not_share_ids() -> None:
    assert parsed(Instance().refusal()())[1]["request_id"] != parsed(Instance().refusal()())[1]["request_id"]


def test_there_is_none_while_there_is_room() -> None:
    assert Instance(is_full=False).refusal()() is None


def test_the_time_to_wait_is_never_older_than_it_may_be() -> None:
    instance = Instance()
    refusal = instance.refusal()
    refusal()
    instance.retry_after_s = 3.0
    instance.time_s += FRESH_S * 1.01
    head, body = parsed(refusal())
    assert b"retry-after: 3" in head
    assert body["retry_after_s"] == 3.0
