"""The Pod Security Standards, level "restricted", as code: https://kubernetes.io/docs/concepts/security/pod-security-standards/

It includes the level "baseline", and here also what this chart promises beyond both: a read-only root file system.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from helm.chart import Manifest, containers_of

__all__ = ["violations"]

VOLUME_TYPES: Final = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
SAFE_SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
    }
)  # fmt: skip
SELINUX_TYPES: Final = frozenset({None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
SECCOMP: Final = frozenset({"RuntimeDefault", "Localhost"})
APPARMOR: Final = frozenset({None, "RuntimeDefault", "Localhost"})


def violations(spec: Manifest) -> Iterator[str]:
    """What the level forbids in this pod; nothing for a pod that it admits."""
    yield from _of_pod(spec)
    for name, container in containers_of(spec).items():
        for problem in (*_of_container(container), *_inherited(container, spec)):
            yield f"{name}: {problem}"


def _of_pod(spec: Manifest) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield field
    security = spec.get("securityContext", {})
    yield from _of_options(security)
    for sysctl in security.get("sysctls", []):
        if sysctl["name"] not in SAFE_SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    for volume in spec.get("volumes", []):
        for kind in volume.keys() - {"name"} - VOLUME_TYPES:
            yield f"volume {volume['name']} of type {kind}"


def _of_container(container: Manifest) -> Iterator[str]:
    security = container.get("securityContext", {})
    yield from _of_options(security)
    if security.get("privileged"):
        yield "privileged"
    if security.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation must be false"
    capabilities = security.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", []):
        yield "capabilities must drop ALL"
    for added in set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"adds the capability {added}"
    if security.get("procMount", "Default") != "Default":
        yield "procMount"
    if security.get("readOnlyRootFilesystem") is not True:
        yield "the root file system is not read-only"
    for port in container.get("ports", []):
        if port.get("hostPort"):
            yield f"hostPort {port['hostPort']}"
    if any(_named_hosts(container)):
        yield "a probe or hook to another host"


def _of_options(security: dict[str, Any]) -> Iterator[str]:
    """What is forbidden for pods and containers alike."""
    if security.get("windowsOptions", {}).get("hostProcess"):
        yield "hostProcess"
    if security.get("appArmorProfile", {}).get("type") not in APPARMOR:
        yield "AppArmor profile"
    linux = security.get("seLinuxOptions", {})
    if linux.get("type") not in SELINUX_TYPES or linux.get("user") or linux.get("role"):
        yield "SELinux options"
    if security.get("runAsUser") == 0:
        yield "runAsUser 0"


def _inherited(container: Manifest, spec: Manifest) -> Iterator[str]:
    """What a container may take from its pod, but not leave open or weaken."""
    own, pods = container.get("securityContext", {}), spec.get("securityContext", {})
    if own.get("runAsNonRoot", pods.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot must be true"
    profile = own.get("seccompProfile", pods.get("seccompProfile", {}))
    if profile.get("type") not in SECCOMP:
        yield "seccompProfile must be RuntimeDefault or Localhost"


def _named_hosts(container: Manifest) -> Iterator[str]:
    lifecycle = container.get("lifecycle", {})
    probes = [container.get(f"{kind}Probe", {}) for kind in ("startup", "readiness", "liveness")]
    for action in [*probes, lifecycle.get("preStop", {}), lifecycle.get("postStart", {})]:
        for kind in ("httpGet", "tcpSocket"):
            if action.get(kind, {}).get("host"):
                yield action[kind]["host"]
