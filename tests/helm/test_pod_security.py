"""Each rule of the level "restricted" is broken once: the code that checks the chart's pods must see it."""

from __future__ import annotations

from typing import Any

import pytest

from helm.chart import merged
from helm.pod_security import violations

SECURE: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
GOOD: dict[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [{"name": "one", "securityContext": SECURE}],
    "volumes": [{"name": "tmp", "emptyDir": {}}],
}


def with_container(**changes: Any) -> dict[str, Any]:
    return merged(GOOD, {"containers": [merged(GOOD["containers"][0], changes)]})


def with_security(**changes: Any) -> dict[str, Any]:
    return with_container(securityContext=changes)


def test_a_restricted_pod_is_admitted() -> None:
    assert list(violations(GOOD)) == []
    assert list(violations(with_security(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}))) == []


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (merged(GOOD, {"hostNetwork": True}), "hostNetwork"),
        (merged(GOOD, {"hostPID": True}), "hostPID"),
        (merged(GOOD, {"hostIPC": True}), "hostIPC"),
        (merged(GOOD, {"volumes": [{"name": "disk", "hostPath": {"path": "/"}}]}), "hostPath"),
        (merged(GOOD, {"volumes": [{"name": "share", "nfs": {"server": "nas"}}]}), "nfs"),
        (merged(GOOD, {"securityContext": {"runAsNonRoot": False}}), "runAsNonRoot"),
        (merged(GOOD, {"securityContext": {"runAsUser": 0}}), "runAsUser 0"),
        (merged(GOOD, {"securityContext": {"seccompProfile": {"type": "Unconfined"}}}), "seccompProfile"),
        (merged(GOOD, {"securityContext": {"sysctls": [{"name": "kernel.msgmax"}]}}), "kernel.msgmax"),
        (merged(GOOD, {"securityContext": {"seLinuxOptions": {"type": "spc_t"}}}), "SELinux"),
        (merged(GOOD, {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}), "AppArmor"),
        (merged(GOOD, {"securityContext": {"windowsOptions": {"hostProcess": True}}}), "hostProcess"),
        (with_security(privileged=True), "privileged"),
        (with_security(allowPrivilegeEscalation=True), "allowPrivilegeEscalation"),
        (with_security(capabilities={"drop": ["NET_RAW"]}), "drop ALL"),
        (with_security(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}), "SYS_ADMIN"),
        (with_security(procMount="Unmasked"), "procMount"),
        (with_security(runAsNonRoot=False), "runAsNonRoot"),
        (with_security(runAsUser=0), "runAsUser 0"),
        (with_security(seccompProfile={"type": "Unconfined"}), "seccompProfile"),
        (with_security(readOnlyRootFilesystem=False), "read-only"),
        (with_container(ports=[{"containerPort": 80, "hostPort": 80}]), "hostPort"),
        (with_container(livenessProbe={"httpGet": {"host": "example.com"}}), "another host"),
        ({**GOOD, "initContainers": [{"name": "first"}]}, "first: allowPrivilegeEscalation"),
    ],
)
def test_a_broken_rule_is_seen(broken: dict[str, Any], words: str) -> None:
    assert words in " ".join(violations(broken))
