"""docs/traces.md names every field of a line and every reason of a replay, and its example runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from docs.documents import REPOSITORY, blocks_of
from reflex.traces import schema
from reflex_analysis.compare import MIN_EPISODES
from reflex_analysis.episodes import METRICS
from reflex_analysis.replay import MAX_LISTED
from support.traces import header, request, write_trace

DOCUMENT = REPOSITORY / "docs" / "traces.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "line",
    [
        schema.TraceHeader, schema.PolicyRecord, schema.RequestRecord, schema.ImageRecord, schema.RtcRecord,
        schema.ShadowRecord, schema.DroppedRecord,
    ],
)  # fmt: skip
def test_every_field_of_a_line_is_documented(line: Any) -> None:
    assert [field.name for field in dataclasses.fields(line) if f"`{field.name}`" not in TEXT] == []


def test_the_numbers_of_the_document_are_those_of_the_code() -> None:
    assert f"`schema_version` is {schema.SCHEMA_VERSION}." in TEXT
    assert f"the first {MAX_LISTED} requests" in TEXT
    assert MIN_EPISODES == 5
    assert "Fewer than five episodes" in TEXT


def test_every_metric_is_documented() -> None:
    assert [name for name in METRICS if f"| {name} |" not in TEXT] == []


def test_the_example_runs(tmp_path: Path) -> None:
    (example,) = (block for block in blocks_of(DOCUMENT) if block.language == "python")
    names: dict[str, Any] = {}
    exec(compile(example.code, str(DOCUMENT), "exec"), names)
    write_trace(tmp_path / "2026-11-21T14Z_0123abcd_0.jsonl.gz", [header(), request(1), request(2, latency_ms=99.0)])

    assert names["slow_requests"](tmp_path, 50.0) == ["r2"]
