"""Training runs and datasets in a real Chromium: followed as they go, cancelled, and harmless whatever a run says."""

from __future__ import annotations

import pytest

from browser.conftest import Dashboard
from browser.hands import PHONE, Hands
from browser.test_pages import found_by_axe
from support.outside.lab import HOSTILE
from support.outside.training_lab import TrainingLab, metrics

pytestmark = pytest.mark.slow

NEWEST_POINT = "document.querySelector('.curve.large').getAttribute('aria-label')"


@pytest.fixture
def training(dashboard: Dashboard) -> TrainingLab:
    return TrainingLab(dashboard.lab)


@pytest.fixture
def run_id(dashboard: Dashboard, training: TrainingLab) -> str:
    """One that waits, the only one that does."""
    key = dashboard.lab.key.secret
    waiting = dashboard.control.ask("GET", "/v1/training-runs?all=true&state=queued", key).json()["runs"]
    for run in waiting:
        dashboard.control.ask("POST", f"/v1/training-runs/{run['id']}/cancel", key, json={})
    return training.start(training.dataset("followed"))


def test_a_run_is_followed_from_the_queue_to_its_end(
    dashboard: Dashboard, hands: Hands, training: TrainingLab, run_id: str
) -> None:
    hands.open(f"/training/{run_id}")
    assert "Number 1 in the queue" in hands.text()
    hands.see("document.querySelector('#cancel-reason').value = 'typed half'")
    claim = training.claim()
    training.beat(claim, 100, metrics=metrics(*range(0, 101, 10)), log=["INFO the first line"])
    hands.wait("document.querySelector('h1').innerText.includes('trains')")
    hands.wait("document.querySelector('.log').innerText.includes('the first line')")
    assert hands.see(NEWEST_POINT).split(",")[0].endswith("at step 100")
    training.beat(claim, 200, metrics=metrics(*range(110, 201, 10)), log=["INFO the last line"], first_line=1)
    hands.wait(f"{NEWEST_POINT}.includes('at step 200')")
    assert hands.see("document.querySelector('#cancel-reason').value") == "typed half"
    assert hands.see("document.querySelectorAll('.curve polyline').length") == 3

    training.end(claim, "failed", "the disk is full", 200)
    hands.wait("document.querySelector('#link').textContent === 'It has ended.'")
    assert "the disk is full" in hands.text()
    assert hands.see("document.querySelector('form[action$=cancel]')") is None
    assert found_by_axe(hands) == []


def test_the_queue_follows_what_happens(hands: Hands, training: TrainingLab, run_id: str) -> None:
    hands.open("/training")
    place = f"document.querySelector('a[href=\"/training/{run_id}\"]')"
    hands.see(f"{place}.focus()")
    training.beat(training.claim(), 1_500)
    hands.wait(f"{place}.closest('tr').querySelector('progress')?.value === 1500")
    assert hands.see(f"document.activeElement === {place}")


def test_a_run_is_cancelled_with_a_reason(dashboard: Dashboard, hands: Hands, run_id: str) -> None:
    hands.open(f"/training/{run_id}")
    hands.write("#cancel-reason", "the wrong dataset")
    hands.submit(f"/training/{run_id}/cancel", f"/training/{run_id}")

    assert "Cancelled" in hands.text("[role=status]")
    told = dashboard.control.ask("GET", f"/v1/training-runs/{run_id}", dashboard.lab.key.secret).json()
    assert (told["state"], told["reason"]) == ("cancelled", "the wrong dataset")
    assert "the wrong dataset" in hands.text("[data-part=receipts]")


def test_whatever_a_run_says_does_nothing_and_breaks_no_page(hands: Hands, training: TrainingLab, run_id: str) -> None:
    claim = training.claim()
    training.beat(claim, 1, log=["begun"])
    losses = {0: 3.0, 1: float("inf"), 2: None, 3: 1e300, 4: 0.5}
    training.tell_past_the_api(run_id, [HOSTILE, "\x1b[31mred", "x" * 1_000_000], losses)
    hands.browser.resize(PHONE)
    hands.open(f"/training/{run_id}")
    hands.wait("document.querySelector('#link').textContent.startsWith('Live. As of')")

    assert "<script>document.title='owned'</script>\\u202e" in hands.text(".log")
    assert "\\x1b[31mred" in hands.text(".log")
    assert hands.see("document.title") != "owned"
    assert hands.see("document.documentElement.scrollWidth") <= PHONE
    assert hands.see("document.querySelectorAll('.curve .gap').length") == 3
    assert hands.see("document.documentElement.outerHTML.length") < 60_000


def test_without_scripts_the_same_is_there(hands: Hands, run_id: str) -> None:
    hands.may_run_scripts(allowed=False)
    hands.open(f"/training/{run_id}")
    assert "Reload the page" in hands.text("#link")
    assert "Number 1 in the queue" in hands.text()
    assert hands.text(".log") == "Nothing yet."
