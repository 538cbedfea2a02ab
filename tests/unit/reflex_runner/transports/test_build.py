"""A transport is built by its kind, from what `target` of robot.yaml may say."""

from __future__ import annotations

import pytest

from reflex.errors import SetupError
from reflex_runner.config.sections import TargetConfig
from reflex_runner.transports.act import ActTransport
from reflex_runner.transports.build import KINDS, build_transport
from reflex_runner.transports.openpi import OpenpiTransport
from reflex_runner.transports.stream import StreamTransport


@pytest.mark.parametrize(
    ("kind", "built"),
    [("act", ActTransport), ("edge", ActTransport), ("stream", StreamTransport), ("openpi", OpenpiTransport)],
)
def test_each_kind_has_its_transport(kind: str, built: type[object]) -> None:
    assert kind in KINDS
    for cfg in ({"url": "http://localhost:1"}, TargetConfig(url="http://localhost:1")):
        transport = build_transport(kind, cfg)
        assert type(transport) is built
        transport.close()


@pytest.mark.parametrize(
    ("kind", "cfg", "said"),
    [
        ("acts", {}, "there is no transport 'acts'; did you mean 'act'?"),
        ("act", {"timeout": 1}, "target: no setting is called 'timeout'; did you mean 'timeout_s'?"),
        ("act", {"url": "localhost:8000"}, "'localhost:8000' is no server"),
        ("stream", {"url": "http://localhost:8000/act"}, "names a route"),
    ],
)
def test_what_cannot_be_built_is_said(kind: str, cfg: dict[str, object], said: str) -> None:
    with pytest.raises(SetupError, match=said.replace("?", r"\?")):
        build_transport(kind, cfg)
