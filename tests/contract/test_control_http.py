"""What the control plane does to a request: read strictly, answered in one envelope, made once, remembered for good."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reflex.errors import STATUS_OF
from reflex.signed.receipts import verify_lines
from reflex.signed.signing import Keyset
from reflex_control.http.app import OPERATIONS
from support.outside.control_plane import ControlProcess, Tenant, prepared_store, running_control

TOO_LONG = b'{"name":"' + b"a" * 1024 * 1024 + b'"}'
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Scene:
    control: ControlProcess
    tenant: Tenant
    key: str

    def create(self, content: bytes, **headers: str) -> Any:
        return self.control.ask("POST", "/v1/keys", self.key, content=content, headers={**JSON, **headers})


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("control") / "data"
    with prepared_store(folder) as (ours, _), running_control(folder) as control:
        yield Scene(control, ours, ours.admin().secret)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "missing_field"), (b"{", "invalid_json"), (b"[]", "wrong_type"), (b"null", "wrong_type"),
        (b"\xff", "invalid_json"), (b'{"name":"a","name":"b","scopes":["read"]}', "invalid_json"),
        (b'{"name":NaN,"scopes":["read"]}', "invalid_json"), (b'{"name":1e999,"scopes":["read"]}', "not_finite"),
        (b'{"name":"a\\u0000b","scopes":["read"]}', "invalid_json"),
        (b'{"name":"\\ud800","scopes":["read"]}', "invalid_json"),
        (b'{"name":' + b"[" * 33 + b"]" * 33 + b"}", "invalid_json"),
        (b'{"name":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "invalid_json"),
        (b'{"name":"a\\nb","scopes":["read"]}', "invalid_value"),
        (b'{"name":"","scopes":["read"]}', "invalid_value"),
        (b'{"name":"' + b"a" * 201 + b'","scopes":["read"]}', "invalid_value"),
        (b'{"name":1,"scopes":["read"]}', "wrong_type"), (b'{"name":"a","scopes":"read"}', "wrong_type"),
        (b'{"name":"a","scopes":["read"],"role":"x"}', "invalid_value"),
        (b'{"name":"a","scopes":["fly"]}', "invalid_value"),
        (b'{"name":"a","scopes":["read"],"expiresInSeconds":1}', "invalid_value"),
        (b'{"name":"a","scopes":["read"],"expiresInSeconds":"60"}', "wrong_type"),
        (b'{"name":"a","scopes":["read"],"expiresInSeconds":true}', "wrong_type"),
        (TOO_LONG, "payload_too_large"),
    ],
)  # fmt: skip
def test_a_body_that_is_not_as_it_should_be_is_refused_and_not_echoed(scene: Scene, body: bytes, code: str) -> None:
    answer = scene.create(body)

    assert (answer.json()["error"], answer.status_code) == (code, STATUS_OF[code])
    assert set(answer.json()) <= {"error", "message", "request_id", "field", "limit"}
    assert "role" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/v1/nothing", 404, "not_found"), ("DELETE", "/v1/receipts", 405, "method_not_allowed"),
     ("GET", "/v1/keys/", 404, "not_found"), ("GET", "/v1/models/a%00b", 404, "not_found"),
     ("GET", "/v1/models?x=1", 422, "invalid_value"), ("GET", "/v1/receipts?limit=0", 422, "invalid_value"),
     ("GET", "/v1/receipts?limit=1&limit=2", 422, "invalid_value")],
)  # fmt: skip
def test_every_refusal_is_the_one_envelope(scene: Scene, method: str, path: str, status: int, code: str) -> None:
    answer = scene.control.ask(method, path, scene.key)

    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert answer.json()["message"]
    assert answer.json()["request_id"]


def test_another_type_of_body_and_another_host_are_refused(scene: Scene) -> None:
    text = scene.create(b"{}", **{"content-type": "text/plain"})
    page = scene.control.ask("GET", "/v1/whoami", scene.key, headers={"host": "evil.example"})

    assert (text.status_code, text.json()["error"]) == (415, "unsupported_media_type")
    assert (page.status_code, page.json()["error"]) == (400, "invalid_http")


def test_what_is_no_http_gets_the_envelope(scene: Scene) -> None:
    host, port = scene.control.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"\x16\x03\x01 no http\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"] == "invalid_http"


def test_another_body_under_the_same_idempotency_key_is_refused(scene: Scene) -> None:
    once, twice = (
        scene.create(b'{"name":"%s","scopes":["read"]}' % name, **{"idempotency-key": "the-one"})
        for name in (b"once", b"twice")
    )

    assert once.status_code == 201
    assert (twice.status_code, twice.json()["error"]) == (409, "idempotency_mismatch")


def test_a_revoked_key_stops_working_at_once(scene: Scene) -> None:
    made = scene.create(b'{"name":"gone","scopes":["read"]}').json()
    assert scene.control.ask("GET", "/v1/models", made["key"]).status_code == 200

    scene.control.ask("POST", f"/v1/keys/{made['id']}/revoke", scene.key, json={"reason": "lost"})

    assert scene.control.ask("GET", "/v1/models", made["key"]).status_code == 401


def test_the_exported_receipts_are_whole_by_the_public_keys(scene: Scene) -> None:
    scene.create(b'{"name":"receipted","scopes":["read"]}')
    keyset = Keyset.from_json(scene.control.ask("GET", "/v1/keyset").content)

    exported = scene.control.ask("GET", "/v1/receipts/export", scene.key)
    verdict = verify_lines(exported.content.splitlines(), keyset)

    assert exported.headers["content-type"] == "application/x-ndjson"
    assert (verdict.is_whole, verdict.fault, verdict.organisation) == (True, None, scene.tenant.organisation_id)
    assert verdict.receipts >= 1


def test_receipts_come_page_by_page(scene: Scene) -> None:
    for number in range(3):
        scene.create(f'{{"name":"page {number}","scopes":["read"]}}'.encode())
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = scene.control.ask("GET", f"/v1/receipts?after={after}&limit=2&kind=key_created", scene.key).json()
        seen += [receipt["seq"] for receipt in page["receipts"]]
        after = page["nextAfter"]

    assert len(seen) >= 3
    assert seen == sorted(set(seen))


def test_the_openapi_document_names_every_route(scene: Scene) -> None:
    paths = scene.control.ask("GET", "/openapi.json").json()["paths"]

    assert {operation.path for operation in OPERATIONS} | {"/health", "/metrics"} <= set(paths)


def test_who_asks_too_much_is_told_when_to_come_back(tmp_path: Path) -> None:
    with prepared_store(tmp_path / "data") as (ours, _):
        key, other = ours.key("read").secret, ours.key("read").secret
        with running_control(tmp_path / "data", "--rate-limit", "0.001") as control:
            statuses = [control.ask("GET", "/v1/models", who).status_code for who in (key, key, other)]
            refused = control.ask("GET", "/v1/models", key)

            assert statuses == [200, 429, 200]
            assert 1 < int(refused.headers["retry-after"]) <= 1000
            assert control.stop() == 0
