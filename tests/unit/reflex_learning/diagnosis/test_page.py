"""The page of a diagnosis: everything in it, nothing foreign, and no word of a stranger as markup."""

from __future__ import annotations

from reflex_learning.diagnosis.page import render_page
from reflex_learning.diagnosis.report import Diagnosis, Finding, Trial
from reflex_learning.diagnosis.scoring import Evidence


def diagnosis() -> Diagnosis:
    found = Diagnosis("http://127.0.0.1:8000", "<script>cubes", "pick<b>", error=0.5, mean_error=0.8, frames=32)
    found.findings.append(Finding("colours", "of <i>front</i>", Evidence(0.5, 0.1, 24, 24), ("mirrored",)))
    found.axes, found.error_by_axis, found.error_by_step = ("pan", "lift"), (0.4, 0.6), (0.5, 0.5)
    found.trials.append(Trial("colours", 0.1, 8))
    return found


def test_the_page_tells_findings_errors_and_what_was_tried() -> None:
    page = render_page(diagnosis())

    for told in ("falls from 0.50 to 0.10 in 24 of 24 frames", "OpenCV reads BGR", "mirrored", "lift", "action 1"):
        assert told in page


def test_nothing_of_a_stranger_is_markup_and_nothing_is_loaded() -> None:
    page = render_page(diagnosis())

    assert "<script" not in page
    assert "<b>" not in page.partition("<main>")[2].replace("<b class", "")
    assert "<i>" not in page
    assert "default-src 'none'" in page


def test_a_healthy_one_says_so() -> None:
    assert "nothing found" in render_page(Diagnosis("", "", "pick"))
