"""Only a person lets a robot move again; a dry run may go on by itself."""

from __future__ import annotations

from reflex_runner.motion.descent import StopCause
from reflex_runner.running.consent import consent_of

STALE = StopCause("stale_chunk", "silence")
REFUSED = StopCause("unauthorized", "no key")


def yes(_cause: StopCause) -> bool:
    return True


def test_without_a_person_nothing_that_moves_goes_on() -> None:
    assert consent_of("apply_actions", None, stop_on_error=True) is None
    assert consent_of("apply_actions", None, stop_on_error=False) is None
    assert consent_of("dry_run", None, stop_on_error=True) is None


def test_a_person_is_asked() -> None:
    assert consent_of("apply_actions", yes, stop_on_error=False) is yes
    assert consent_of("dry_run", yes, stop_on_error=True) is yes


def test_a_dry_run_goes_on_by_itself_where_the_settings_say_so_and_going_on_can_help() -> None:
    consent = consent_of("dry_run", None, stop_on_error=False)
    assert consent is not None
    assert (consent(STALE), consent(REFUSED)) == (True, False)
