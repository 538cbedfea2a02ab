"""Deployments, and what the doctor found of each."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from reflex.errors import ServiceError
from reflex.readiness.checking import WORST_FIRST
from reflex_control.dashboard.looking_up import deployments_of, models_by_id, schemas_by_id
from reflex_control.dashboard.readiness import readiness
from reflex_control.dashboard.visit import Page, Visit
from reflex_control.moments import MINUTE_MS
from reflex_control.sessions.promoting import DOCTOR_HOLDS_MS

__all__ = ["DEPLOYMENT_PAGES"]

DOCTOR: Final = "/v1/deployments/{id}/doctor"


def _list(visit: Visit) -> Response:
    found, models, schemas = deployments_of(visit), models_by_id(visit), schemas_by_id(visit)
    return visit.page("deployments.html", deployments=found, models=models, schemas=schemas)


def _show(visit: Visit, problem: ServiceError | None = None) -> Response:
    found = visit.ask("GET", "/v1/deployments/{id}", id=visit.path["id"])
    schema_id = found["robotSchemaId"]
    return visit.page(
        "deployment.html", problem=problem, deployment=found, checks=_checks(found), counts=_counts(found),
        readiness=readiness(found, visit.plane.clock()), model=visit.ask("GET", "/v1/models/{id}", id=found["modelId"]),
        schema=None if schema_id is None else visit.ask("GET", "/v1/robot-schemas/{id}", id=schema_id),
        can_check=visit.offers("POST", DOCTOR, id=found["id"]), holds_min=DOCTOR_HOLDS_MS // MINUTE_MS,
    )  # fmt: skip


def _check(visit: Visit) -> Response:
    visit.ask("POST", DOCTOR, id=visit.path["id"])
    return visit.go_to(f"/deployments/{visit.path['id']}?done=checked")


def _checks(deployment: dict[str, Any]) -> list[dict[str, Any]]:
    checks = (deployment["doctor"] or {}).get("checks", [])
    # What needs somebody comes first.
    return sorted(checks, key=lambda check: WORST_FIRST.index(check["status"]))


def _counts(deployment: dict[str, Any]) -> dict[str, int]:
    found = [check["status"] for check in _checks(deployment)]
    return {status: found.count(status) for status in WORST_FIRST if status in found}


DEPLOYMENT_PAGES: Final = (
    Page("GET", "/deployments", _list),
    Page("GET", "/deployments/{id}", _show),
    Page("POST", "/deployments/{id}/doctor", _check, problem_page=_show),
)
