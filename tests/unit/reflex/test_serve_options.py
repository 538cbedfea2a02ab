"""One table makes the command line of `reflex serve`; the server's settings agree with it."""

from __future__ import annotations

from typing import Any

import pytest
from annotated_types import Ge, Gt, Le, Lt

from reflex.errors import SetupError
from reflex.serve_options import MAX_CLAMPED_PERCENT, SERVE_OPTIONS, ServeOption
from reflex_frontend.policy.plausibility import Plausibility
from reflex_frontend.settings import NO_OPTION, Settings

OPTIONS = pytest.mark.parametrize("option", SERVE_OPTIONS, ids=lambda option: option.name)


def bounds_of(name: str) -> tuple[list[Any], list[Any]]:
    """The lower and upper bounds that the setting's own annotation states."""
    found: list[Any] = list(Settings.model_fields[name].metadata)
    for argument in getattr(Settings.model_fields[name].annotation, "__args__", ()):
        found += getattr(argument, "__metadata__", [None])[0].metadata if hasattr(argument, "__metadata__") else []
    lower = [bound.ge if isinstance(bound, Ge) else bound.gt for bound in found if isinstance(bound, Ge | Gt)]
    upper = [bound.le if isinstance(bound, Le) else bound.lt for bound in found if isinstance(bound, Le | Lt)]
    return lower, upper


def test_every_setting_is_an_option_but_for_those_that_must_not_be() -> None:
    assert {option.name for option in SERVE_OPTIONS} == set(Settings.model_fields) - set(NO_OPTION)


@OPTIONS
def test_an_option_has_the_default_of_its_setting(option: ServeOption) -> None:
    default = Settings.model_fields[option.name].default

    assert option.default == (",".join(default) if isinstance(default, tuple) else default)


@OPTIONS
def test_a_default_is_told_in_the_help(option: ServeOption) -> None:
    shown = {True: "on", False: "off"}.get(option.default) if isinstance(option.default, bool) else option.default
    text = f"{shown:g}" if isinstance(shown, float) else str(shown)

    assert option.default is None or option.name == "json_logs" or f"Default: {text}" in option.help


@OPTIONS
def test_an_option_takes_what_its_setting_takes(option: ServeOption) -> None:
    lower, upper = bounds_of(option.name)
    for bound, is_lower in ((option.least, True), (option.most, False)):
        if bound is None:
            continue
        assert bound in (lower if is_lower else upper)
        with pytest.raises(SetupError, match=f"--{option.name.replace('_', '-')}"):
            Settings.load({option.name: bound - 1 if is_lower else bound + 1})


def test_the_judge_of_chunks_the_settings_and_the_option_have_one_limit() -> None:
    [option] = [option for option in SERVE_OPTIONS if option.name == "max_clamped_share"]
    of_settings = Settings.model_fields["max_clamped_share"].default

    assert {option.default, of_settings, Plausibility(float).max_percent} == {MAX_CLAMPED_PERCENT}
