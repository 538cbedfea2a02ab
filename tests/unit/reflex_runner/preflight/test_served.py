"""What a server says of its policy is found by the address of any transport; what is no such server is told apart."""

from __future__ import annotations

import pytest

from reflex.errors import ServiceError, TransportError, service_error
from reflex_runner.config.sections import TargetConfig
from reflex_runner.preflight.served import base_url_of, look_at
from support.runner.served import config_of, network, served


@pytest.mark.parametrize(
    ("kind", "url", "base"),
    [
        ("act", None, "http://localhost:8000"),
        ("act", "https://lab.example/arm", "https://lab.example/arm"),
        ("stream", "wss://lab.example:1", "https://lab.example:1"),
        ("openpi", "ws://localhost:9/policy?x=1", "http://localhost:9"),
        ("openpi", "http://localhost:9/openpi", "http://localhost:9"),
    ],
)
def test_the_config_lies_at_the_servers_root(kind: str, url: str | None, base: str) -> None:
    assert base_url_of(TargetConfig(kind=kind, url=url)) == base  # type: ignore[arg-type]


def test_one_policy_and_two_are_read_alike() -> None:
    (one,) = served().policies
    assert (one.name, one.cameras, one.takes_instruction, one.is_trained) == ("demo", {"image": True}, True, False)
    both = look_at(TargetConfig(), None, network({"a": config_of(), "b": config_of(policy_id="other")}))
    assert both is not None
    assert [each.name for each in both.policies] == ["demo", "other"]


def test_the_size_of_pictures_is_told_where_a_policy_takes_no_other() -> None:
    def size(*shape: int) -> object:
        return (
            served(inputs=[{"name": "state", "shape": [6]}, {"name": "image.image", "shape": shape}])
            .policies[0]
            .picture_size
        )

    assert (size(48, 64, 3), size(-1, -1, 3), served(inputs=[]).policies[0].picture_size) == ((48, 64), None, None)
    with pytest.raises(TransportError, match="describes no policy"):
        size(64)


def test_a_server_of_another_make_is_none_and_an_error_is_its_own() -> None:
    assert look_at(TargetConfig(), None, network(service_error("not_found", "nothing here"))) is None
    with pytest.raises(ServiceError, match="unauthorized"):
        look_at(TargetConfig(), None, network(service_error("unauthorized", "no key")))
    with pytest.raises(TransportError, match="embodiment"):
        look_at(TargetConfig(), None, network({"hello": 1}))
    with pytest.raises(TransportError, match="describes no policy"):
        look_at(TargetConfig(), None, network(config_of(cameras=3)))
