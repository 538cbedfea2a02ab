"""How far a policy was from its checkpoint on a device that serves: what was measured, and where."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

__all__ = ["DeviceParityConfig", "with_newest"]

Figure = float | Annotated[str, Field(pattern=r"^-?(nan|inf)$")]
"""JSON has no number for what is not finite."""


class DeviceParityConfig(BaseModel):
    """One measurement, of one export on one device."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    export_id: Annotated[str, Field(min_length=8)]
    engine: Literal["onnx", "tensorrt", "tensorrt-rtx"]
    """What ran there."""
    provider: Literal["cuda"] | None = None
    """Of ONNX Runtime; None of an engine, and in older records, which are all of `cuda`."""
    form: Annotated[str, Field(min_length=1)] | None = None
    """The file of the denoise graph that ran; None of an engine, and where an older record does not say it."""
    device: Annotated[str, Field(min_length=1)]
    """As its driver calls it."""
    compute_capability: Annotated[str, Field(pattern=r"^\d+\.\d+$")]
    driver: str
    runtime: dict[str, str]
    """Versions, by the library's name."""
    measured_at: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    verdict: Literal["passed", "failed"]
    against: str
    cosine: Figure
    max_abs: Figure
    worst: str
    gate_cosine: float
    gate_max_abs: float
    cases: dict[str, Figure]
    """Largest difference of each case, by its name."""

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        fields: dict[str, object] = write(self)
        return {name: value for name, value in fields.items() if value is not None}


def with_newest(
    several: tuple[DeviceParityConfig, ...], measured: DeviceParityConfig
) -> tuple[DeviceParityConfig, ...]:
    """With it at the end, in place of what was measured of the same on that device against the same before."""
    return (*(one for one in several if not _is_replaced(one, measured)), measured)


def _is_replaced(old: DeviceParityConfig, new: DeviceParityConfig) -> bool:
    return _what(old) == _what(new) and old.form in (None, new.form)


def _what(measured: DeviceParityConfig) -> tuple[str, ...]:
    return measured.device, measured.compute_capability, measured.engine, measured.against
