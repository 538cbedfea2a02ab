"""The environment is read once, and shows no key."""

from __future__ import annotations

import pytest

from reflex.errors import SetupError
from reflex_runner.config.environment import Environment, read_environment


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, Environment()),
        ({"REFLEX_NO_RECORD": "1"}, Environment(records=False)),
        ({"REFLEX_NO_RECORD": " Yes "}, Environment(records=False)),
        ({"REFLEX_NO_RECORD": "0", "REFLEX_API_KEY": " key "}, Environment(api_key="key")),
        ({"REFLEX_API_KEY": ""}, Environment()),
    ],
)
def test_what_it_says_is_found(variables: dict[str, str], found: Environment) -> None:
    assert read_environment(variables) == found


def test_a_value_that_says_neither_is_refused_and_a_key_is_not_shown() -> None:
    with pytest.raises(SetupError, match="REFLEX_NO_RECORD is 'perhaps'"):
        read_environment({"REFLEX_NO_RECORD": "perhaps"})
    assert "secret" not in repr(Environment(api_key="secret"))
