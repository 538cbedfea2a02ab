"""Whether the robot, its units and the cameras that an export names are those of the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from reflex.embodiments import Embodiment, bundled_embodiments, load_embodiment
from reflex.wording.guides import guide
from reflex.wording.nouns import counted, named
from reflex_export.checkpoint import NEEDED, Checkpoint, Normalizer
from reflex_export.errors import CheckpointError, UnitsError, UnsupportedOptionError
from reflex_export.exporting.units_fit import doubts_about_units

__all__ = ["check_cameras", "check_units", "fitting_embodiment"]


def fitting_embodiment(checkpoint: Checkpoint, name: str | None) -> Embodiment:
    """Load the named embodiment; `CheckpointError` when there is none, or one of other dimensions."""
    dims = (checkpoint.state_dim, checkpoint.action_dim)
    if name is None:
        known = [load_embodiment(each) for each in bundled_embodiments()]
        fitting = ", ".join(each.name for each in known if (each.state_dim, each.action_dim) == dims) or "none"
        raise CheckpointError(
            "say which robot this policy drives with --embodiment; "
            f"it has {dims[0]} state and {counted(dims[1], 'action value')}. Of the embodiments that come with Reflex "
            f"as many: {fitting}; `reflex init embodiment` begins one of your own, see {guide('embodiments')}"
        )
    embodiment = load_embodiment(name)
    if (embodiment.state_dim, embodiment.action_dim) != dims:
        raise CheckpointError(
            f"the policy has {dims[0]} state and {counted(dims[1], 'action value')}, embodiment {embodiment.name} has "
            f"{embodiment.state_dim} and {embodiment.action_dim}; pass the --embodiment that it was trained for"
        )
    return embodiment


def check_units(checkpoint: Checkpoint, embodiment: Embodiment, *, is_checked: bool) -> tuple[str, ...]:
    """What to warn of. `UnitsError` for statistics that cannot be this robot's, unless a person has checked them."""
    doubts = doubts_about_units(checkpoint, embodiment)
    certain = [doubt.what for doubt in doubts if doubt.is_certain]
    if certain and not is_checked:
        raise UnitsError(
            f"the checkpoint's statistics are not those of embodiment {embodiment.name}. {'. '.join(certain)}. "
            "Nothing was published; --units-checked publishes all the same, if you know why that is right"
        )
    return (*_doubts_about_source(checkpoint), *(doubt.what for doubt in doubts))


def _doubts_about_source(checkpoint: Checkpoint) -> Iterator[str]:
    for name, normalizer in (("observation.state", checkpoint.state), ("action", checkpoint.action)):
        if normalizer.replaces:
            yield f"{name}: the given statistics are not those of {normalizer.replaces}, in whose place they are"
        if _is_constant(normalizer):
            yield (
                f"{name}: no axis has any spread in the statistics ({' and '.join(NEEDED[normalizer.mode])}), as of a "
                "single frame; compute them over all of the training data, and bring them with --stats"
            )


def _is_constant(normalizer: Normalizer) -> bool:
    match [normalizer.statistics[name] for name in NEEDED[normalizer.mode]]:
        case [_, std] if normalizer.mode == "MEAN_STD":
            return not std.any()
        case [low, high]:
            return bool((low == high).all())
        case _:
            return False


def check_cameras(checkpoint: Checkpoint, optional: AbstractSet[str]) -> None:
    """Raise `UnsupportedOptionError` for an optional camera that the policy does not have."""
    names = {camera.name for camera in checkpoint.cameras if not camera.is_empty}
    if not optional <= names:
        raise UnsupportedOptionError(
            f"--optional-camera {', '.join(sorted(optional - names))}: the policy has {named('camera', sorted(names))}"
        )
