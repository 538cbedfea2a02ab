"""The shapes of the custom resources, written from their projects' documentation: only what this chart may use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator

from helm.chart import Manifest

__all__ = ["SHAPES", "problems"]

TEXT: Final = {"type": "string", "minLength": 1}
COUNT: Final = {"type": "integer", "minimum": 1}


def _closed(*, optional: Mapping[str, Any] | None = None, **required: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": sorted(required),
        "additionalProperties": False,
    }


def _list(of: Any) -> dict[str, Any]:
    return {"type": "array", "items": of, "minItems": 1}


TRIGGER: Final = _closed(
    type={"const": "prometheus"},
    metricType={"enum": ["Value", "AverageValue"]},
    metadata=_closed(serverAddress=TEXT, query=TEXT, threshold={"type": "string", "pattern": r"^[0-9.]+$"},
                     ignoreNullValues={"enum": ["true", "false"]}),
)  # fmt: skip
ENDPOINT: Final = _closed(port=TEXT, path=TEXT, interval={"type": "string", "pattern": r"^\d+(ms|s|m)$"})
ALERT: Final = _closed(
    alert=TEXT, expr=TEXT,
    optional={"for": TEXT, "labels": {"type": "object"}, "annotations": {"type": "object"}, "keep_firing_for": TEXT},
)  # fmt: skip
RECORD: Final = _closed(record=TEXT, expr=TEXT, optional={"labels": {"type": "object"}})
PARENT: Final = _closed(
    name=TEXT, optional={"namespace": TEXT, "group": TEXT, "kind": TEXT, "sectionName": TEXT, "port": COUNT}
)

SHAPES: Final[Mapping[tuple[str, str], Any]] = {
    ("keda.sh/v1alpha1", "ScaledObject"): _closed(
        scaleTargetRef=_closed(apiVersion={"const": "apps/v1"}, kind={"const": "Deployment"}, name=TEXT),
        minReplicaCount=COUNT,
        maxReplicaCount=COUNT,
        advanced=_closed(horizontalPodAutoscalerConfig=_closed(behavior={"type": "object"})),
        triggers=_list(TRIGGER),
    ),
    ("monitoring.coreos.com/v1", "ServiceMonitor"): _closed(
        selector=_closed(matchLabels={"type": "object", "additionalProperties": TEXT}),
        endpoints=_list(ENDPOINT),
        optional={"podTargetLabels": _list(TEXT)},
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): _closed(
        groups=_list(_closed(name=TEXT, rules=_list({"anyOf": [ALERT, RECORD]}), optional={"interval": TEXT}))
    ),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): _closed(
        parentRefs=_list(PARENT),
        rules=_list(
            _closed(
                matches=_list(_closed(path=_closed(type={"const": "PathPrefix"}, value={"pattern": "^/"}))),
                backendRefs=_list(_closed(name=TEXT, port=COUNT)),
            )
        ),
        optional={"hostnames": _list(TEXT)},
    ),
    ("gateway.envoyproxy.io/v1alpha1", "BackendTrafficPolicy"): _closed(
        targetRefs=_list(_closed(group={"const": "gateway.networking.k8s.io"}, kind={"const": "HTTPRoute"}, name=TEXT)),
        loadBalancer=_closed(
            type={"const": "ConsistentHash"},
            consistentHash=_closed(type={"const": "Header"}, header=_closed(name={"const": "X-Reflex-Episode"})),
        ),
    ),
    ("networking.istio.io/v1", "DestinationRule"): _closed(
        host={"pattern": r"\.svc\.cluster\.local$"},
        trafficPolicy=_closed(
            loadBalancer=_closed(consistentHash=_closed(httpHeaderName={"const": "X-Reflex-Episode"}))
        ),
    ),
}


def problems(manifest: Manifest) -> list[str]:
    """What is wrong with the spec of a custom resource; a kind that nobody described is wrong as well."""
    shape = SHAPES.get((manifest["apiVersion"], manifest["kind"]))
    if shape is None:
        return [f"{manifest['apiVersion']} {manifest['kind']} is no kind of this chart"]
    return [error.message for error in Draft202012Validator(shape).iter_errors(manifest["spec"])]
