"""From a JSON object to declared options: old names, null as absent, and one sentence for the first thing wrong."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from reflex_export.configs.family import Options
from reflex_export.errors import CheckpointError, UnsupportedOptionError

__all__ = ["parse", "refuse_unknown"]

T = TypeVar("T", bound=Options)

_NOTHING: Final[tuple[object, ...]] = (None, False, 0, "", [], {})
"""What an option is set to that is off: the meaning of a key that nobody here knows yet."""
_CHOICES: Final = frozenset({"literal_error", "none_required"})


def parse(kind: type[T], written: Mapping[str, Any], origin: str, whose: str) -> T:
    """The object as `kind`. A null is as good as absent; `whose` is what the options are of, for messages."""
    given = {key: value for key, value in written.items() if value is not None}
    refuse_unknown(kind.model_fields, given, origin, whose)
    known = {key: value for key, value in given.items() if key in kind.model_fields}
    try:
        return kind.model_validate(known)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_context=True)[0]
    raise _refusal(first, written, origin, whose)


def refuse_unknown(known: Collection[str], given: Mapping[str, Any], origin: str, whose: str) -> None:
    """`UnsupportedOptionError` names the first key that is set and not known."""
    for key, value in given.items():
        if key not in known and value not in _NOTHING:
            raise UnsupportedOptionError(
                f"{origin} has {key:.100} = {value!r:.60}, which is no option of {whose} that is known here, and may "
                "change what it computes: take it out if only training reads it, or export with a version of Reflex "
                "that knows it"
            )


def _refusal(error: ErrorDetails, written: Mapping[str, Any], origin: str, whose: str) -> CheckpointError:
    if not error["loc"]:
        reason = str(error.get("ctx", {}).get("error", error["msg"]))
        return CheckpointError(f"{origin}: {reason}; correct it to what the policy was trained with")
    key = str(error["loc"][0])
    if error["type"] == "missing" and len(error["loc"]) == 1:
        found = "null for" if key in written else "no"
        return CheckpointError(f"{origin} has {found} {key}, which {whose} needs; load and save it with lerobot once")
    found, wanted = f"{origin}: {key} is {written[key]!r:.60}", error["msg"].replace("Input should be", "", 1).strip()
    if error["type"] in _CHOICES:
        return UnsupportedOptionError(f"{found}, which cannot be exported; train with {wanted}")
    return CheckpointError(f"{found}, but must be {wanted}; correct it to what the policy was trained with")
