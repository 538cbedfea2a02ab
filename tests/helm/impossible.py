"""Values that each are allowed and together cannot work, with the sentence that refuses them."""

from __future__ import annotations

from typing import Any, Final

from helm.chart import merged
from helm.table import CONTROL, GPU, POSTGRES, SESSIONS

__all__ = ["IMPOSSIBLE"]

KEDA = {"autoscaling": {"kind": "keda", "prometheusUrl": "http://prometheus:9090"}}
ENGINES = merged(GPU, {"engines": {"enabled": True}})
ONE_NODE = merged(ENGINES, {"engines": {"storage": {"accessMode": "ReadWriteOnce"}}})
STILL = {"strategy": {"maxSurge": 0, "maxUnavailable": 1}}
ROUTE = {"gateway": {"enabled": True, "parentRefs": [{"name": "public"}]}}

IMPOSSIBLE: Final[list[tuple[dict[str, Any], str]]] = [
    (
        {"modelRepository": {"source": "claim", "claim": {"name": "policies"}}},
        (
            "auth.existingSecret is empty, so whoever reaches the service could drive the policy: name a secret "
            "with the file "
            "that `reflex keys new` makes, or set auth.insecure to true on a network where you trust everybody."
        ),
    ),
    (
        {"auth": {"existingSecret": "keys", "insecure": True}, "tests": {"enabled": False}},
        "auth.existingSecret and auth.insecure exclude each other: set auth.insecure to false.",
    ),
    (
        {"auth": {"insecure": True}, "modelRepository": {"source": "claim"}},
        (
            "modelRepository.source claim needs modelRepository.claim.name, the claim that holds what `reflex "
            "export` wrote."
        ),
    ),
    (
        {"auth": {"insecure": True}, "modelRepository": {"source": "image"}},
        "modelRepository.source image needs modelRepository.image.reference, an image with the policies in it.",
    ),
    (
        {
            "auth": {"insecure": True},
            "modelRepository": {"source": "fetch"},
            "networkPolicy": {"denyEgress": False},
        },
        (
            "modelRepository.source fetch needs modelRepository.fetch.image and modelRepository.fetch.command, "
            "which writes the policies into $(REFLEX_TARGET)."
        ),
    ),
    (
        {
            "auth": {"insecure": True},
            "modelRepository": {"source": "fetch", "fetch": {"image": "tool:1", "command": ["tool"]}},
        },
        (
            "modelRepository.source fetch opens connections, and networkPolicy.denyEgress forbids all of them: "
            "allow the "
            "store in networkPolicy.egress, or set networkPolicy.denyEgress to false."
        ),
    ),
    (
        merged(GPU, {"triton": {"image": {"tag": "latest"}}}),
        (
            'triton.image.tag "latest" names no release of NVIDIA\'s container: set it to one like 26.07-py3, or pin '
            "triton.image.digest."
        ),
    ),
    (
        merged(GPU, {"triton": {"image": {"tag": "26.01-py3"}}}),
        (
            'triton.image.tag "26.01-py3" is too old: before 26.02 a full queue inside an ensemble leaves '
            "requests without "
            "an answer; set 26.02 or newer."
        ),
    ),
    (
        {"engines": {"enabled": True}},
        (
            "engines.enabled builds TensorRT engines, which a CPU cannot run: set triton.accelerator to gpu, or "
            "engines.enabled to false."
        ),
    ),
    (
        merged(ONE_NODE, STILL, {"replicas": 2}),
        (
            "engines.storage.accessMode ReadWriteOnce lets one node mount the engines: use ReadWriteMany, or "
            "one pool with "
            "replicas 1 and no autoscaling."
        ),
    ),
    (
        ONE_NODE,
        (
            "engines.storage.accessMode ReadWriteOnce keeps a new pod from starting beside the old one: set "
            "strategy.maxSurge to 0 and strategy.maxUnavailable to 1, or use ReadWriteMany."
        ),
    ),
    ({"pools": [{"name": "a"}, {"name": "a"}]}, "pools need different names, and these are a, a."),
    (
        {"strategy": {"maxSurge": 0}},
        (
            "strategy.maxSurge and strategy.maxUnavailable are both 0, so no update could ever start: set one of "
            "them to 1."
        ),
    ),
    (
        {"disruption": {"minAvailable": 1}},
        "disruption.minAvailable and disruption.maxUnavailable exclude each other: set the other one to null.",
    ),
    (
        {"disruption": {"maxUnavailable": None}},
        "disruption.enabled needs disruption.minAvailable or disruption.maxUnavailable.",
    ),
    (
        {"autoscaling": {"kind": "hpa", "minReplicas": 5}},
        "autoscaling.minReplicas is greater than autoscaling.maxReplicas.",
    ),
    (
        {"autoscaling": {"kind": "keda", "query": "sum(up)"}},
        "autoscaling.kind keda needs autoscaling.prometheusUrl, where the query is asked.",
    ),
    (
        KEDA,
        (
            "autoscaling.kind keda asks for Triton's queue time: set monitoring.tritonMetrics and "
            "monitoring.serviceMonitor.enabled to true, or give your own autoscaling.query."
        ),
    ),
    (
        {"ingress": {"enabled": True, "episodeAffinity": True}},
        (
            "ingress.episodeAffinity has no form that every controller knows: set ingress.controller to nginx "
            "or traefik, "
            "or use ingress.annotations of your own."
        ),
    ),
    (
        {"ingress": {"enabled": True, "tlsSecret": "cert"}},
        "ingress.tlsSecret needs ingress.host, the name that its certificate is for.",
    ),
    (
        {"gateway": {"enabled": True}},
        "gateway.enabled needs gateway.parentRefs, the Gateways that the route belongs to.",
    ),
    (
        merged(ROUTE, {"gateway": {"episodeAffinity": True}}),
        "gateway.episodeAffinity is not part of the Gateway API: set gateway.implementation to envoy or istio.",
    ),
    (
        {"auth": {"existingSecret": "keys"}},
        (
            "auth.existingSecret makes the server ask for keys, and `helm test` has none: set tests.apiKeySecret, or "
            "tests.enabled to false."
        ),
    ),
    (
        {"service": {"nodePort": 30080}},
        (
            "service.nodePort and service.externalTrafficPolicy are of a Service that is reached from outside: set "
            "service.type to NodePort or LoadBalancer."
        ),
    ),
    (
        {"service": {"type": "NodePort", "loadBalancerClass": "internal"}},
        "service.loadBalancerClass and service.loadBalancerSourceRanges need service.type LoadBalancer.",
    ),
    (
        {"commonLabels": {"app.kubernetes.io/name": "arm"}},
        ("commonLabels and pod.labels cannot set app.kubernetes.io/name, by which the chart finds its objects."),
    ),
    (
        {"commonLabels": {"team": "a"}, "pod": {"labels": {"team": "b"}}},
        "commonLabels and pod.labels both set team: set it in one of them.",
    ),
    (
        {"enabled": False},
        (
            "enabled is for a chart that has this one as a dependency, with `condition: reflex.enabled`: without one "
            "it switches nothing off."
        ),
    ),
    (
        merged(CONTROL, {"control": {"replicas": 2}}),
        (
            "control.replicas is more than 1, and SQLite has one server: set control.database.existingSecret to a "
            "secret with the URL of a PostgreSQL."
        ),
    ),
    (
        merged(CONTROL, {"control": {"database": {"existingSecret": "store"}}}),
        (
            "control.database is elsewhere, and networkPolicy.denyEgress forbids the way to it: allow PostgreSQL in "
            "control.networkPolicy.egress, or set networkPolicy.denyEgress to false."
        ),
    ),
    (
        merged(POSTGRES, {"control": {"backup": {"enabled": True}}}),
        (
            "control.backup copies a SQLite store: set control.backup.enabled to false, and back PostgreSQL up with "
            "pg_dump or what runs it."
        ),
    ),
    (
        merged(SESSIONS, {"control": {"enabled": False}}),
        (
            "control.sessions.required means sessions of the chart's own control plane: set control.enabled to true; "
            "of one elsewhere, set REFLEX_SESSIONS_FROM and REFLEX_CONTROL_KEY in frontend.env."
        ),
    ),
    (
        merged(SESSIONS, {"control": {"sessions": {"existingSecret": ""}}}),
        (
            "control.sessions.required needs control.sessions.existingSecret, a secret with the key under "
            "`control-key` that `reflex keys create --scope read` made."
        ),
    ),
    (
        merged(SESSIONS, {"tests": {"enabled": True}}),
        (
            "control.sessions.required makes /act ask for a session, and `helm test` has none: set tests.enabled to "
            "false."
        ),
    ),
    (
        {"control": {"env": [{"name": "REFLEX_CONTROL_DB", "value": "sqlite://"}]}},
        "control.env sets REFLEX_CONTROL_DB, which the chart sets itself: use the value of the chart.",
    ),
    (
        {"frontend": {"env": [{"name": "REFLEX_TRITON", "value": "grpc://elsewhere"}]}},
        "frontend.env sets REFLEX_TRITON, which the chart sets itself: use the value of the chart.",
    ),
]
