"""A base model stands for its only deployment, however its name is written; else the deployment has to be named."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import insert, update

from reflex.errors import ServiceError
from reflex_control.registry.models import revoke_model
from reflex_control.store.tables import deployment, model
from unit.reflex_control.sessions.session_scene import Scene


def by_base_model(scene: Scene, name: str | None) -> Any:
    return scene.authorize(deployment_id=None, base_model=name)["deploymentId"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pi0.5", "PI05", "pi_05", "pick"])
def test_a_base_model_is_a_name_or_a_family(scene: Scene, name: str) -> None:
    with scene.database.writing(scene.owner) as connection:
        connection.execute(update(model).values(config={"policy_id": "pick", "family": "pi05"}))

    assert by_base_model(scene, name) == "deploy_1"


@pytest.mark.slow
@pytest.mark.parametrize("name", [None, "pi0", "none", "smolvla"])
def test_one_that_is_not_deployed_is_not_guessed_at(scene: Scene, name: str | None) -> None:
    with pytest.raises(ServiceError) as refused:
        by_base_model(scene, name)
    assert (refused.value.code, refused.value.context["field"]) == ("invalid_value", "deploymentId")
    assert scene.live() == 0


def test_a_model_stands_for_its_only_deployment_whatever_base_model_is_named(scene: Scene) -> None:
    def by_model(model_id: str) -> Any:
        return scene.authorize(deployment_id=None, artifact_id=model_id, base_model="none")["deploymentId"]

    assert by_model("model_1") == "deploy_1"
    with pytest.raises(ServiceError, match="this model has 0 deployments") as refused:
        by_model("model_2")
    assert refused.value.context["field"] == "artifactId"


def test_who_names_nothing_is_told_what_is_needed(scene: Scene) -> None:
    with pytest.raises(ServiceError, match="deploymentId is needed"):
        by_base_model(scene, None)


def test_of_two_deployments_neither_is_meant(scene: Scene) -> None:
    with scene.database.writing(scene.owner) as connection:
        connection.execute(
            insert(deployment).values(id="deploy_2", organisation_id=scene.owner, name="garden", model_id="model_1",
                                      mode="dry_run", created_at=scene.at_ms)
        )  # fmt: skip
    with pytest.raises(ServiceError, match="has 2 deployments"):
        by_base_model(scene, "pick")


def test_a_revoked_model_is_nobodys_base_model(scene: Scene) -> None:
    with scene.plane.writing(scene.operator) as writing:
        revoke_model(writing, "model_1", "it drops cups")
    with pytest.raises(ServiceError, match="has 0 deployments"):
        by_base_model(scene, "pick")


def test_a_driver_may_name_other_frontends_and_is_told_them(scene: Scene) -> None:
    scene.set_deployment(mode="dry_run")
    told = [scene.authorize(act_urls=urls, client_session_id="one")["actUrl"] for urls in (("http://b:1",), ())]
    assert told == ["http://b:1", "http://127.0.0.1:8000"]
