"""A format may leave out what it does not keep; how its episodes end, it says."""

from __future__ import annotations

import pytest

from reflex_runner.recording.formats.interface import EpisodeEnd, EpisodeWriter
from reflex_runner.tick import Event

END = EpisodeEnd(1.0, success=None, reason="ended", dropped={})


class KeepsEnds(EpisodeWriter):
    def __init__(self) -> None:
        self.ended: list[EpisodeEnd] = []

    def finish(self, end: EpisodeEnd) -> None:
        self.ended.append(end)

    def abandon(self) -> None:
        """Nothing is open."""


def test_what_a_format_does_not_keep_it_need_not_name() -> None:
    episode = KeepsEnds()
    episode.start()
    episode.noted(Event(0.5, "info", "begin", "the run begins"))
    episode.flush()
    episode.finish(END)
    assert episode.ended == [END]


@pytest.mark.parametrize("forgotten", ["finish", "abandon"])
def test_a_format_whose_episodes_do_not_end_cannot_begin_one(forgotten: str) -> None:
    left = {"finish", "abandon"} - {forgotten}
    begun: type[EpisodeWriter] = type("Endless", (EpisodeWriter,), {name: getattr(KeepsEnds, name) for name in left})
    with pytest.raises(TypeError, match=forgotten):
        begun()
