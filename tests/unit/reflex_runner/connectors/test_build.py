"""`hardware.kind` names a robot that can be built, or is refused with the names that there are."""

from __future__ import annotations

import pytest

from reflex.errors import SetupError
from reflex_runner.connectors.build import FORMS, build_connector


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("so100", "hardware.kind: no connector is called 'so100'; it is one of sim, so101, subprocess, "),
        ("so100", "did you mean 'so101'?"),
        ("subproces", "did you mean 'subprocess'?"),
        ("lerobt", "did you mean 'lerobot'?"),
        ("lerobot", "write the type of the robot behind it, as lerobot:so101_follower"),
        ("", "no connector is called ''"),
        ("../sim", "no connector is called '../sim'"),
        ("build", "no connector is called 'build'"),
    ],
)
def test_an_unknown_kind_names_the_known_ones_and_the_nearest(kind: str, said: str) -> None:
    with pytest.raises(SetupError) as refused:
        build_connector(kind, {})
    assert said in str(refused.value)
    assert all(form in str(refused.value) for form in FORMS)
