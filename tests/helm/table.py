"""The parameters of the pairwise table. A level holds what belongs together, so that every two levels are possible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from helm.chart import merged
from helm.pairwise import Row, pairwise

__all__ = [
    "CONTROL",
    "ENGINES",
    "GPU",
    "H100",
    "KEDA",
    "L40S",
    "LEVELS",
    "MONITORED",
    "POSTGRES",
    "SAME_NAMESPACE",
    "SESSIONS",
    "rows",
    "values_of",
]

HTTPS_OUT: Final = [{"ports": [{"protocol": "TCP", "port": 443}]}]
SAME_NAMESPACE: Final = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "robots"}}}]
GPU: Final = {"triton": {"accelerator": "gpu"}}
MONITORED: Final = {"monitoring": {"tritonMetrics": True, "serviceMonitor": {"enabled": True}}}
ENGINES: Final = merged(GPU, {"engines": {"enabled": True}})
KEDA: Final = merged({"autoscaling": {"kind": "keda", "prometheusUrl": "http://prometheus:9090"}}, MONITORED)
L40S: Final = {"name": "l40s", "replicas": 2, "nodeSelector": {"gpu": "l40s"}}
POSTGRES_OUT: Final = [{"ports": [{"protocol": "TCP", "port": 5432}]}]
CONTROL: Final = {"control": {"enabled": True}}
POSTGRES: Final = merged(
    CONTROL,
    {"control": {"database": {"existingSecret": "store"}, "replicas": 2, "networkPolicy": {"egress": POSTGRES_OUT}}},
)
SESSIONS: Final = merged(
    CONTROL,
    {"control": {"sessions": {"required": True, "existingSecret": "frontend"}}, "tests": {"enabled": False}},
)
H100: Final = {"name": "h100", "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]}

LEVELS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "accelerator": {
        "cpu": {},
        "gpu": merged(GPU, {"triton": {"gpuCount": 2, "runtimeClassName": "nvidia"}}),
        "engines": ENGINES,
        "engines in a claim": merged(GPU, {"engines": {"enabled": True, "storage": {"existingClaim": "shared"}}}),
    },
    "source": {
        "demo": {},
        "claim": {"modelRepository": {"source": "claim", "claim": {"name": "policies", "subPath": "cup"}}},
        "image": {"modelRepository": {"source": "image", "image": {"reference": "registry.example.com/policy:3"}}},
        "fetch": {
            "modelRepository": {
                "source": "fetch",
                "fetch": {
                    "image": "registry.example.com/rclone:1.68",
                    "command": ["rclone", "copy", "s3:policies/cup", "$(REFLEX_TARGET)"],
                    "existingSecret": "store",
                    "env": [{"name": "RCLONE_S3_REGION", "value": "eu-central-1"}],
                },
            },
            "networkPolicy": {"egress": HTTPS_OUT},
        },
    },
    "policy": {"only": {}, "named": {"policy": "demo"}},
    "pools": {"none": {}, "two": {"pools": [L40S, H100]}},
    "autoscaling": {
        "none": {},
        "hpa": {"autoscaling": {"kind": "hpa"}},
        "keda": KEDA,
        "keda own query": {
            "autoscaling": {"kind": "keda", "prometheusUrl": "http://prometheus:9090", "query": "sum(up)"}
        },
    },
    "strategy": {"surge": {}, "replace": {"strategy": {"maxSurge": 0, "maxUnavailable": 1}}},
    "disruption": {
        "may go": {},
        "must stay": {"disruption": {"minAvailable": "50%", "maxUnavailable": None}},
        "none": {"disruption": {"enabled": False}},
    },
    "network": {
        "default": {},
        "restricted": {"networkPolicy": {"from": SAME_NAMESPACE, "metricsFrom": SAME_NAMESPACE}},
        "open": {"networkPolicy": {"denyEgress": False}},
        "none": {"networkPolicy": {"enabled": False}},
    },
    "ingress": {
        "none": {},
        "nginx": {"ingress": {"enabled": True, "controller": "nginx", "episodeAffinity": True, "className": "nginx"}},
        "traefik": {"ingress": {"enabled": True, "controller": "traefik", "episodeAffinity": True}},
        "tls": {"ingress": {"enabled": True, "host": "cell.example.com", "tlsSecret": "cert", "path": "/reflex"}},
    },
    "gateway": {
        "none": {},
        "plain": {"gateway": {"enabled": True, "parentRefs": [{"name": "public", "namespace": "gateways"}]}},
        "envoy": {
            "gateway": {
                "enabled": True, "parentRefs": [{"name": "public"}], "hostnames": ["cell.example.com"],
                "implementation": "envoy", "episodeAffinity": True,
            }
        },
        "istio": {
            "gateway": {
                "enabled": True, "parentRefs": [{"name": "public"}], "implementation": "istio", "episodeAffinity": True,
            }
        },
    },
    "monitoring": {"none": {}, "all": MONITORED},
    "auth": {
        "none": {"auth": {"insecure": True}},
        "keys": {"auth": {"existingSecret": "keys"}, "tests": {"apiKeySecret": "test-key"}},
        "untested": {"auth": {"existingSecret": "keys"}, "tests": {"enabled": False}},
    },
    "control": {
        "none": {},
        "sqlite": merged(CONTROL, {"control": {"backup": {"enabled": True}}}),
        "postgres": merged(POSTGRES, SESSIONS),
        "dressed": merged(
            SESSIONS,
            {
                "control": {
                    "image": {"digest": "sha256:" + "d" * 64}, "allowedHosts": "control.example.com", "rateLimit": 2.5,
                    "env": [{"name": "TZ", "value": "UTC"}], "nodeSelector": {"disk": "ssd"},
                    "tolerations": [{"key": "robots", "operator": "Exists"}], "storage": {"existingClaim": "store"},
                    "backup": {"enabled": True, "existingClaim": "copies", "schedule": "@daily"},
                    "service": {"type": "LoadBalancer", "port": 80, "annotations": {"example.com/internal": "true"}},
                    "networkPolicy": {"from": SAME_NAMESPACE, "egress": HTTPS_OUT},
                }
            },
        ),
    },
    "account": {
        "created": {"serviceAccount": {"annotations": {"example.com/role": "policies"}}},
        "existing": {"serviceAccount": {"create": False, "name": "robots"}},
        "default": {"serviceAccount": {"create": False}},
    },
    "pod": {
        "plain": {},
        "of the cluster's choice": {"pod": {"runAsUser": None}},
        "of a number of OpenShift": {"pod": {"runAsUser": 1000680000}},
        "dressed": {
            "pod": {
                "labels": {"team": "cell-7"},
                "annotations": {"example.com/note": "yes"},
                "runAsUser": 4711,
                "nodeSelector": {"disk": "ssd"},
                "tolerations": [{"key": "robots", "operator": "Equal", "value": "only", "effect": "NoExecute"}],
                "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}},
                "priorityClassName": "robots",
                "spread": "DoNotSchedule",
                "extraInitContainers": [{"name": "before", "image": "registry.example.com/before:1"}],
                "extraContainers": [{"name": "beside", "image": "registry.example.com/beside:1"}],
                "extraVolumes": [{"name": "more", "emptyDir": {}}],
                "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
            },
        },
    },
    "images": {
        "local": {},
        "registry": {"image": {"registry": "registry.example.com/r", "pullPolicy": "Always", "pullSecrets": ["s"]}},
        "digests": {
            "frontend": {"image": {"digest": "sha256:" + "a" * 64}},
            "triton": {"image": {"digest": "sha256:" + "b" * 64}, "cpuImage": {"digest": "sha256:" + "c" * 64}},
        },
    },
    "settings": {
        "default": {},
        "all": {
            "frontend": {
                "host": "::", "maxQueue": 0, "corsOrigins": "https://lab.example.com", "guard": False,
                "receiveTimeoutSeconds": 2.5, "env": [{"name": "REFLEX_ROBOT_ID", "value": "cell-7"}],
            },
            "triton": {"extraArgs": ["--log-verbose=1"], "env": [{"name": "TZ", "value": "UTC"}]},
            "drain": {"delaySeconds": 0},
            "probes": {"startupSeconds": 10},
        },
    },
    "service": {
        "inside": {},
        "balancer": {"service": {"type": "LoadBalancer", "port": 80, "annotations": {"example.com/internal": "true"}}},
        "balancer of a class": {
            "service": {
                "type": "LoadBalancer", "nodePort": 30080, "loadBalancerClass": "example.com/internal",
                "externalTrafficPolicy": "Local", "loadBalancerSourceRanges": ["10.20.0.0/16", "2001:db8::/32"],
                "ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6", "IPv4"],
            }
        },
        "node": {"service": {"type": "NodePort", "nodePort": 30080, "externalTrafficPolicy": "Cluster"}},
    },
    "names": {
        "default": {},
        "own": {"fullnameOverride": "arm", "nameOverride": "policies", "commonLabels": {"owner": "robotics"}},
        "long": {"fullnameOverride": "a-name-that-is-much-longer-than-a-label-may-be-in-kubernetes"},
    },
}  # fmt: skip


def rows() -> list[Row]:
    return pairwise({parameter: list(levels) for parameter, levels in LEVELS.items()})


def values_of(row: Row) -> dict[str, Any]:
    return merged(*(LEVELS[parameter][level] for parameter, level in row.items()))
