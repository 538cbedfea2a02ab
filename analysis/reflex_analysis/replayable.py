"""Which recorded requests can be sent again to a server, and as what."""

from __future__ import annotations

import binascii
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

from reflex.errors import SetupError
from reflex.traces.schema import ImageRecord, PolicyRecord, RequestRecord

__all__ = ["TargetPolicy", "image_file", "read_target_policies", "why_not"]

NO_IMAGES: Final = "its images were not recorded; record with --record-images full"


@dataclass(frozen=True, slots=True)
class TargetPolicy:
    """A policy that the replay's server has."""

    policy_id: str
    policy_hash: str
    needs_images: bool


def read_target_policies(config: Mapping[str, Any]) -> dict[str, TargetPolicy]:
    """The policies in an answer of `/config`, by slot; `SetupError` when it is something else."""
    by_slot = {"a": config} if "policy_id" in config else config
    try:
        return {str(slot): _target_policy(policy) for slot, policy in by_slot.items()}
    except (KeyError, TypeError) as exc:
        raise SetupError("/config of the server is not that of Reflex; check the URL") from exc


def _target_policy(config: Mapping[str, Any]) -> TargetPolicy:
    needs_images = any(camera["required"] for camera in config["cameras"])
    return TargetPolicy(str(config["policy_id"]), str(config["policy_hash"]), needs_images)


def why_not(
    record: RequestRecord,
    recorded: PolicyRecord | None,
    trace_policies: Mapping[str, PolicyRecord],
    policies: Mapping[str, TargetPolicy],
) -> str | None:
    """Why the request cannot be replayed, in words for the user; None when it can."""
    served = {policy.policy_id for policy in policies.values()}
    known = {policy.policy_id for slot, policy in trace_policies.items() if slot in ("a", "b")}
    if record.status != 200 or record.answered is None:
        return "it was answered with an error"
    if recorded is not None and recorded.policy_id not in served and known & served:
        return "another policy of the recording answered it"
    if record.rtc is not None and record.rtc.delay_steps is None:
        return "it continues a chunk (real-time chunking), and how is not recorded"
    if record.a2c2_applied:
        return "its actions were corrected for latency (--a2c2-checkpoint), by what that was then"
    if recorded is not None and record.denoising_steps not in (None, recorded.denoising_steps):
        return "it ran with fewer denoising steps than the policy's own (--slo-mode degrade or --adaptive-steps)"
    if record.seed is None:
        return "its seed is not recorded"
    if any(image.data is None for image in record.images.values()):
        return NO_IMAGES
    if not record.images and any(policy.needs_images for policy in policies.values()):
        return NO_IMAGES
    return None


def image_file(image: ImageRecord) -> bytes:
    """The file as it was sent; raw pixels become a PNG, which loses nothing. `ValueError` when the data is no image."""
    data = binascii.a2b_base64(image.data or "")
    if image.encoding != "raw":
        return data
    if not image.width or not image.height or len(data) != image.width * image.height * 3:
        raise ValueError("raw pixels of another size than recorded")
    file = io.BytesIO()
    Image.frombytes("RGB", (image.width, image.height), data).save(file, "PNG", compress_level=1)
    return file.getvalue()
