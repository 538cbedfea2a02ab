"""The tables, as both SQLite and PostgreSQL have them. Moments are milliseconds since 1970, UTC.

Everything but the signing keys belongs to one organisation. Secrets are stored as hashes; what has to be read again, an
answer that is repeated, is encrypted under a key that only the client has.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

__all__ = [
    "METADATA",
    "api_key",
    "dataset",
    "deployment",
    "device_login",
    "event",
    "model",
    "organisation",
    "pairing_token",
    "receipt",
    "repeatable",
    "robot",
    "robot_schema",
    "session",
    "signing_key",
    "training_line",
    "training_metric",
    "training_run",
]

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id() -> Column[str]:
    return Column("id", String(64), primary_key=True)


def _owner() -> Column[str]:
    return Column("organisation_id", String(64), ForeignKey("organisation.id"), nullable=False, index=True)


def _refers(table: str, *, nullable: bool = False) -> Column[str]:
    return Column(f"{table}_id", String(64), ForeignKey(f"{table}.id"), nullable=nullable, index=True)


def _moment(name: str, *, nullable: bool = True) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


def _json(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, JSON(none_as_null=True), nullable=nullable)


def _created() -> Column[int]:
    return _moment("created_at", nullable=False)


organisation = Table("organisation", METADATA, _id(), _text("name"), _created())

signing_key = Table(
    "signing_key", METADATA,
    Column("kid", String(64), primary_key=True), Column("private", LargeBinary, nullable=False), _created(),
    _moment("trusted_until"),
)  # fmt: skip
"""Ed25519. The newest signs; a frontend trusts each until `trusted_until`, None for ever."""

robot_schema = Table(
    "robot_schema", METADATA,
    _id(), _owner(), _text("name"), _text("robot_kind", nullable=True), _json("schema"), _text("limits_hash"),
    Column("simulation", Boolean, nullable=False), _created(),
    UniqueConstraint("organisation_id", "name", name="uq_robot_schema_name"),
)  # fmt: skip

robot = Table(
    "robot", METADATA,
    _id(), _owner(), _text("name"), _refers("robot_schema"), _text("robot_kind", nullable=True),
    _text("calibration_id", nullable=True), _created(), _moment("paired_at"), _moment("revoked_at"),
    _moment("heartbeat_at"), _json("heartbeat", nullable=True),
    UniqueConstraint("organisation_id", "name", name="uq_robot_name"),
)  # fmt: skip

api_key = Table(
    "api_key", METADATA,
    _id(), _owner(), _text("name"), Column("digest", LargeBinary(32), nullable=False, unique=True), _json("scopes"),
    _refers("robot", nullable=True), _created(), _moment("expires_at"), _moment("revoked_at"), _moment("used_at"),
)  # fmt: skip
"""A key with a `robot_id` is that robot's, and has no scope."""

pairing_token = Table(
    "pairing_token", METADATA,
    _id(), _owner(), _refers("robot"), Column("digest", LargeBinary(32), nullable=False, unique=True), _created(),
    _moment("expires_at", nullable=False), _moment("claimed_at"),
)  # fmt: skip

model = Table(
    "model", METADATA,
    _id(), _owner(), _text("name"), _text("content_hash"), _json("config"), _text("source", nullable=True), _created(),
    _moment("revoked_at"),
    UniqueConstraint("organisation_id", "name", "content_hash", name="uq_model_content"),
)  # fmt: skip

deployment = Table(
    "deployment", METADATA,
    _id(), _owner(), _text("name"), _refers("model"), _refers("robot_schema", nullable=True),
    _json("runtime", nullable=True), _text("mode"), _json("spec", nullable=True), _created(),
    _json("doctor", nullable=True), _moment("doctor_at"),
    UniqueConstraint("organisation_id", "name", name="uq_deployment_name"),
)  # fmt: skip

session = Table(
    "session", METADATA,
    _id(), _owner(), _refers("deployment"), _refers("robot"), _refers("api_key"), _text("mode"),
    Column("client_session_id", String(255)), _created(), _moment("promoted_at"), _moment("expires_at", nullable=False),
    _moment("ends_by", nullable=False), _moment("heartbeat_at"), _moment("ended_at"), _text("status"),
    _text("reason", nullable=True), _text("calibration_id", nullable=True),
    Column("steps", BigInteger, nullable=False), Column("applied_steps", BigInteger, nullable=False),
    Column("safe_stops", BigInteger, nullable=False), Column("guard_violations", BigInteger, nullable=False),
    Column("refused_chunks", BigInteger, nullable=False),
    UniqueConstraint("organisation_id", "client_session_id", name="uq_session_client"),
)  # fmt: skip
Index("ix_session_lease", session.c.robot_id, unique=True, sqlite_where=text("ended_at IS NULL"),
      postgresql_where=text("ended_at IS NULL"))  # fmt: skip
"""One driver at a time: a robot has at most one session that has not ended."""

receipt = Table(
    "receipt", METADATA,
    Column("organisation_id", String(64), ForeignKey("organisation.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True), Column("id", String(64), nullable=False, unique=True),
    _text("kind"), _created(), _text("hash"), _text("body"),
    Column("deployment_id", String(64), index=True), Column("session_id", String(64), index=True),
    Column("robot_id", String(64), index=True),
)  # fmt: skip
"""`body` is the whole receipt in canonical JSON, as it was signed; the other columns are for searching."""

event = Table(
    "event", METADATA,
    Column("seq", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    _owner(), _text("kind"), _json("data"), _created(),
)  # fmt: skip

repeatable = Table(
    "repeatable", METADATA,
    Column("organisation_id", String(64), ForeignKey("organisation.id"), primary_key=True),
    Column("digest", LargeBinary(32), primary_key=True), Column("request", LargeBinary(32), nullable=False),
    Column("answer", LargeBinary, nullable=False), Column("created_at", BigInteger, nullable=False, index=True),
)  # fmt: skip
"""Answers to requests with an Idempotency-Key, by the key's hash and encrypted under the key, for a day."""

device_login = Table(
    "device_login", METADATA,
    _id(), Column("device_digest", LargeBinary(32), nullable=False, unique=True),
    Column("user_code", String(16), nullable=False, unique=True), _text("client_name", nullable=True), _created(),
    _moment("expires_at", nullable=False), Column("organisation_id", String(64), ForeignKey("organisation.id")),
    _json("scopes", nullable=True), _text("confirmed_by", nullable=True), _moment("confirmed_at"), _moment("taken_at"),
)  # fmt: skip


def _of_run() -> Column[str]:
    return Column("run_id", String(64), ForeignKey("training_run.id"), primary_key=True)


dataset = Table(
    "dataset", METADATA,
    _id(), _owner(), _text("name"), Column("place", String(1024), nullable=False), _text("content_hash"),
    _text("state"), _json("verdict", nullable=True), Column("files", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False), _created(), _moment("changed_at", nullable=False),
    _moment("validated_at"),
    UniqueConstraint("organisation_id", "place", name="uq_dataset_place"),
)  # fmt: skip
"""State and verdict are those of this very content: with another hash they begin anew."""

training_run = Table(
    "training_run", METADATA,
    _id(), _owner(), _refers("dataset"), _refers("api_key"), Column("request_id", String(255)),
    _text("dataset_hash"), _json("request"), _text("state"), _text("reason", nullable=True), _created(),
    _moment("started_at"), _moment("ended_at"), _moment("cancel_asked_at"), Column("attempt", Integer, nullable=False),
    Column("step", BigInteger, nullable=False), Column("steps", BigInteger, nullable=False),
    Column("lease_id", String(64)), _moment("lease_until"), _moment("beaten_at"), _json("worker", nullable=True),
    _json("newest", nullable=True), _json("exported", nullable=True),
    Column("metric_gap", BigInteger, nullable=False),
    Column("next_line", BigInteger, nullable=False), Column("first_line", BigInteger, nullable=False),
    UniqueConstraint("organisation_id", "request_id", name="uq_training_run_request"),
)  # fmt: skip
"""`next_line` is the number that the next line of its log gets, whoever says it; `newest` the last metric."""
Index("ix_training_run_queue", training_run.c.organisation_id, training_run.c.state, training_run.c.created_at)

training_line = Table(
    "training_line", METADATA,
    _of_run(), Column("number", BigInteger, primary_key=True, autoincrement=False), _text("text"),
)  # fmt: skip

training_metric = Table(
    "training_metric", METADATA,
    _of_run(), Column("step", BigInteger, primary_key=True, autoincrement=False), _moment("at", nullable=False),
    Column("loss", Float(53)), Column("grad_norm", Float(53)), Column("lr", Float(53)),
    Column("update_s", Float(53)), Column("data_s", Float(53)), _json("others", nullable=True),
)  # fmt: skip
"""Of a long run every so many steps: enough for a curve."""
