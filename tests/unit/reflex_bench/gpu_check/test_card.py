"""Which card it is, from the words of the driver's own tool."""

from __future__ import annotations

import pytest

from reflex_bench.gpu_check.card import Card, NoCardError, find_card


def test_name_capability_driver_and_memory_are_read() -> None:
    card = find_card(lambda: "NVIDIA H200, 9.0, 580.159.04, 143771\nNVIDIA H200, 9.0, 580.159.04, 143771\n")

    assert card == Card("NVIDIA H200", "9.0", "580.159.04", 143771)
    assert str(card) == "NVIDIA H200, compute capability 9.0, driver 580.159.04, 143,771 MiB"


@pytest.mark.parametrize("answer", ["", "No devices were found", "NVIDIA H200, 9.0, 580.159.04, [N/A]"])
def test_no_card_is_a_sentence_that_says_what_to_do(answer: str) -> None:
    with pytest.raises(NoCardError, match="run it by itself"):
        find_card(lambda: answer)


def test_a_machine_without_the_tool_is_told_of_the_driver_and_the_small_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(NoCardError, match=r"install NVIDIA's driver.*--small"):
        find_card()
