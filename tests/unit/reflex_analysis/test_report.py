from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from reflex.traces.reader import TraceReader
from reflex.traces.schema import DroppedRecord, RecordLine, RequestRecord, ShadowRecord
from reflex_analysis.charts import Series, latency_chart
from reflex_analysis.compare import compare
from reflex_analysis.episodes import read_episodes
from reflex_analysis.report import NOTHING_FOREIGN, render_report
from reflex_analysis.summary import summarise
from support.outside.chromium import visit
from support.traces import Experiment, header, policy, request, write_trace

TWO = {"a": policy("old"), "b": policy("new"), "shadow": policy("shadow")}
VOID = {"meta", "br", "line", "rect", "circle", "path"}


def recording() -> Iterable[RecordLine]:
    """Everything that a report can show."""
    yield header(TWO)
    yield from Experiment(1, b_rougher=0.7).records(30)
    yield request(9001, slot="b", policy="b-policy@bbbbbbbb", status=503, error="queue_full", actions_raw=None)
    yield ShadowRecord(record_seq=1, policy="shadow@1", cosine=0.99, max_abs=(0.1,) * 7, latency_ms=9.0, violations=1)
    yield DroppedRecord(3)


def page_of(folder: Path, records: Iterable[RecordLine], *, is_compared: bool = True) -> str:
    path = write_trace(folder / "2026-11-21T14Z_0123abcd_1.jsonl.gz", records)
    comparison = compare(read_episodes(TraceReader(path))) if is_compared else None
    return render_report(summarise(TraceReader(path)), comparison)


class Nesting(HTMLParser):
    """Raises when an element is closed that was not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - the parser names it
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def test_the_page_shows_every_part_of_a_recording(tmp_path: Path) -> None:
    page = page_of(tmp_path, recording())

    for words in (
        "The data allow a conclusion", "How long answers took", "Latency over time", "What changes from a to b",
        "Where the time goes", "Changed by the guard, by axis", "Jerk by axis", "Jump by axis", "queue_full",
        "The comparison in numbers", "Cosine, mean", "3 requests not recorded", "gripper",
    ):  # fmt: skip
        assert words in page


@pytest.mark.slow
def test_mistakes_of_clients_stand_apart_from_errors_of_the_server(tmp_path: Path) -> None:
    page = page_of(tmp_path, [*recording(), request(9002, status=422, error="unknown_camera", actions_raw=None)])

    server, clients = page.split("<h2>Errors</h2>")[1].split("<h2>Client errors</h2>")
    assert ("queue_full" in server, "unknown_camera" in server) == (True, False)
    assert ("queue_full" in clients, "unknown_camera" in clients) == (False, True)
    assert page.count("<dt>Client errors</dt><dd>1 ") == 1
    assert "Client errors" not in page_of(tmp_path, recording())


def test_what_there_is_once_stands_in_the_singular(tmp_path: Path) -> None:
    page = page_of(tmp_path, [header(), request(1), DroppedRecord(1)], is_compared=False)

    assert "1 request in 1 episode " in page
    assert "<li>1 request not recorded" in page
    assert not re.search(r"\b1 (requests|episodes|answers|lines|blocks)\b", page)


@pytest.mark.slow
def test_two_slots_with_the_same_weights_have_a_remark(tmp_path: Path) -> None:
    same = {slot: replace(policy(), model_version=f"{slot}-policy@{slot * 8}") for slot in "ab"}
    records: list[RecordLine] = [header(same), *Experiment(1).records(12)]

    assert page_of(tmp_path, records).count("Both slots serve the same weights") == 1
    assert "same weights" not in page_of(tmp_path, recording())


def test_a_label_at_the_right_edge_ends_there() -> None:
    drawn = latency_chart([Series("a", "s0", (1, 1), 50.0, ())], (10.0, 50.0, 100.0))

    assert re.search(r'text-anchor="end">100 ms<', drawn)
    assert re.search(r'text-anchor="middle">20 ms<', drawn)


def test_the_page_is_well_formed_and_holds_no_script(tmp_path: Path) -> None:
    nesting = Nesting()
    nesting.feed(page_of(tmp_path, recording()))

    assert nesting.open == []
    assert nesting.tags & {"script", "img", "link", "iframe", "object", "form"} == set()


def test_the_page_refers_to_nothing_outside_and_forbids_it(tmp_path: Path) -> None:
    page = page_of(tmp_path, recording())

    assert not re.search(r"https?://|url\(|@import|\bsrc=|\bhref=", page)
    assert f'content="{NOTHING_FOREIGN}"' in page


def test_names_from_a_recording_are_text_and_never_markup(tmp_path: Path) -> None:
    evil = '<img src=x onerror="alert(1)">'
    records: list[RecordLine] = [
        header({slot: replace(one, action_names=(evil,) * 7, embodiment=evil) for slot, one in TWO.items()}),
        request(1, policy=f"{evil}@{evil}"),
        request(2, slot="b", policy=evil, status=500, error=evil, actions_raw=None),
        ShadowRecord(record_seq=1, policy=evil, max_abs=(0.1,)),
    ]

    page = page_of(tmp_path, records, is_compared=False)

    assert "<img" not in page
    assert page.count("&lt;img") >= 4


def test_a_recording_of_one_slot_has_a_page_without_a_comparison(tmp_path: Path) -> None:
    page = page_of(tmp_path, [header(), request(1), request(2)], is_compared=False)

    assert "How long answers took" in page
    assert "comparison" not in page.lower()


@pytest.mark.parametrize(
    "records",
    [
        [header()],
        [header(), request(1)],
        [header(), request(1, status=503, error="queue_full", actions_raw=None)],
        [header(), request(1, latency_ms=0.0)],
        [header(), request(1, latency_ms=0.0), request(2, latency_ms=9.0)],
    ],
)
def test_there_is_a_page_for_next_to_nothing(tmp_path: Path, records: list[RecordLine]) -> None:
    nesting = Nesting()
    nesting.feed(page_of(tmp_path, records, is_compared=False))

    assert nesting.open == []


def test_the_page_stays_small(tmp_path: Path) -> None:
    assert len(page_of(tmp_path, recording())) < 150_000


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 500])
def test_chromium_opens_the_page_without_a_complaint_or_a_request(tmp_path: Path, width: int) -> None:
    page = tmp_path / "report.html"
    page.write_text(page_of(tmp_path, recording()), encoding="utf-8")

    found = visit(page, tmp_path, width=width)

    assert found.console == []
    assert found.requests == []
    assert "a-policy against b-policy" in found.dom


LABELS = """<script>
const outside = [...document.querySelectorAll('svg')].flatMap(svg => [...svg.querySelectorAll('text')].filter(text => {
  const all = svg.getBoundingClientRect(), one = text.getBoundingClientRect();
  return one.left < all.left - 0.5 || one.right > all.right + 0.5 || one.bottom > all.bottom + 0.5;
}).map(text => text.textContent));
document.title = document.querySelectorAll('svg text').length + ' of them ' + JSON.stringify(outside);
</script></body>"""


@pytest.mark.slow
@pytest.mark.parametrize(("width", "latency_ms"), [(1200, 9.9), (500, 9.9), (500, 11000.0)])
def test_no_label_of_a_chart_is_cut_off(tmp_path: Path, width: int, latency_ms: float) -> None:
    records = [replace(one, latency_ms=one.latency_ms / 12 * latency_ms) if isinstance(one, RequestRecord) else one
               for one in recording()]  # fmt: skip
    page = tmp_path / "measured.html"
    text = page_of(tmp_path, records).replace(NOTHING_FOREIGN, "").replace("</body>", LABELS)
    page.write_text(text, encoding="utf-8")

    title = re.search(r"<title>(\d+) of them (.*)</title>", visit(page, tmp_path, width=width).dom)

    assert title is not None
    assert int(title[1]) > 15
    assert title[2] == "[]"


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 500])
def test_nothing_sticks_out_of_the_page_on_a_screen_of_any_width(tmp_path: Path, width: int) -> None:
    """Measured by a script in a copy of the page, which has its ban on scripts taken out."""
    measure = "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth</script></body>"
    text = page_of(tmp_path, recording()).replace(NOTHING_FOREIGN, "").replace("</body>", measure)
    page = tmp_path / "measured.html"
    page.write_text(text, encoding="utf-8")

    title = re.search(r"<title>(\d+) of (\d+)</title>", visit(page, tmp_path, width=width).dom)

    assert title is not None
    assert int(title[1]) <= int(title[2])


@pytest.mark.slow
def test_the_visit_would_see_a_complaint_and_a_request(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text('<img src="http://report.invalid/x.png"><script>console.error("boom")</script>')

    found = visit(page, tmp_path)

    assert any("boom" in line for line in found.console)
    assert found.requests == ["http://report.invalid/x.png"]
