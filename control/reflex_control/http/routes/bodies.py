"""What the operations take, field by field: nothing else, nothing longer, and of text only what can be shown."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from reflex.control.objects import Mode
from reflex.control.texts import MAX_NAME_CHARACTERS, MAX_REASON_CHARACTERS
from reflex_control.identity.ids import ID
from reflex_control.identity.pairing import MAX_TTL_S, MIN_TTL_S
from reflex_control.moments import DAY_S

__all__ = [
    "DEFAULT_OVERLAP_S",
    "Body",
    "Claim",
    "Identity",
    "Name",
    "NewDeployment",
    "NewKey",
    "NewModel",
    "NewPairingToken",
    "NewRobot",
    "NewRobotSchema",
    "Nothing",
    "Query",
    "Reason",
    "ReceiptQuery",
    "Rotation",
    "WithReason",
]

DEFAULT_OVERLAP_S: Final = 3_600


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("takes visible characters and spaces: no line ends, no control characters")
    return text


Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARACTERS), AfterValidator(_printable)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=MAX_REASON_CHARACTERS), AfterValidator(_printable)]
Identity = Annotated[str, StringConstraints(pattern=f"^{ID.pattern}$")]
Document = dict[str, Any]


class Body(BaseModel):
    """The names on the wire are camelCase. A number is no text and a text no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel)


class Query(Body):
    """Of a query everything is text."""

    model_config = ConfigDict(strict=False)


class Nothing(Body):
    pass


class WithReason(Body):
    reason: Reason | None = None


class NewKey(Body):
    name: Name
    scopes: Annotated[list[str], Field(min_length=1, max_length=16)]
    expires_in_seconds: Annotated[int, Field(ge=60, le=3650 * DAY_S)] | None = None


class Rotation(Body):
    overlap_seconds: Annotated[int, Field(ge=0, le=7 * DAY_S)] = DEFAULT_OVERLAP_S


class NewModel(Body):
    name: Name
    content_hash: Name
    config: Document
    source: Name | None = None


class NewRobotSchema(Body):
    name: Name
    robot_kind: Name | None = None
    # `schema` is a method of the base class.
    schema_: Annotated[Document, Field(alias="schema")]


class NewRobot(Body):
    name: Name
    robot_schema_id: Identity
    robot_kind: Name | None = None
    calibration_id: Name | None = None


class NewPairingToken(Body):
    ttl_seconds: Annotated[int, Field(ge=MIN_TTL_S, le=MAX_TTL_S)] | None = None


class Claim(Body):
    token: Annotated[str, StringConstraints(min_length=1, max_length=256)]


class NewDeployment(Body):
    name: Name
    model_id: Identity
    robot_schema_id: Identity | None = None
    runtime: Document | None = None
    mode: Mode = "dry_run"
    spec: Document | None = None


class ReceiptQuery(Query):
    deployment_id: Identity | None = None
    session_id: Identity | None = None
    robot_id: Identity | None = None
    kind: Identity | None = None
    after: Annotated[int, Field(ge=0, le=2**53)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
