"""What an export refuses, in one tree: each message says what is wrong with which file and what to do about it.

SetupError                         reflex.errors
├── CheckpointError                a checkpoint that cannot be exported as it is
│   ├── ParityError                the graphs differ from the trained policy by more than the gate allows
│   ├── SourceError                a file or a hub repository that is not there, or cannot be had without a network
│   ├── TensorFileError            a safetensors file that is damaged, or of a format that is never read
│   ├── MissingTensorError         a tensor that the policy needs and the files lack
│   ├── TensorShapeError           a tensor whose shape contradicts the config or another tensor
│   ├── StatisticsError            normalisation statistics that are missing or of the wrong length
│   ├── UnitsError                 statistics that cannot be those of the robot that the export names
│   ├── TokenizerError             a tokenizer that is missing, damaged, or of another vocabulary than the embedding
│   ├── UnknownFamilyError         a policy type that nothing here can export
│   └── UnsupportedOptionError     an option or a processor step whose effect is not in the graphs
└── DeviceError                    the device that shall measure a policy is not there, or cannot run it
"""

from __future__ import annotations

from reflex.errors import SetupError

__all__ = [
    "CheckpointError",
    "DeviceError",
    "MissingTensorError",
    "ParityError",
    "SourceError",
    "StatisticsError",
    "TensorFileError",
    "TensorShapeError",
    "TokenizerError",
    "UnitsError",
    "UnknownFamilyError",
    "UnsupportedOptionError",
]


class CheckpointError(SetupError):
    """The checkpoint cannot be exported as it is; nothing was published."""

    code = "checkpoint"


class ParityError(CheckpointError):
    """The exported graphs do not compute what the trained policy did, within the gate."""

    code = "parity"

    def __init__(self, message: str, figure: str = "") -> None:
        """`figure` is what was measured, in a few words."""
        super().__init__(message)
        self.figure = figure


class SourceError(CheckpointError):
    """A file or a hub repository is not there; the message says what to fetch, and where it is looked for."""

    code = "source"


class TensorFileError(CheckpointError):
    """A weights file is damaged, hostile, or of a format that is never read (pickles)."""

    code = "tensor_file"


class MissingTensorError(CheckpointError):
    """The policy needs a tensor that no file holds."""

    code = "missing_tensor"


class TensorShapeError(CheckpointError):
    """A tensor's shape contradicts the config or another tensor."""

    code = "tensor_shape"


class StatisticsError(CheckpointError):
    """Normalisation statistics are missing, or as long as another robot's."""

    code = "statistics"


class UnitsError(CheckpointError):
    """The statistics are in other units, of another zero or of another sign than the embodiment's."""

    code = "units"


class TokenizerError(CheckpointError):
    """The tokenizer is missing, damaged, or not the one that the model was trained with."""

    code = "tokenizer"


class UnknownFamilyError(CheckpointError):
    """The policy's type is none that can be exported."""

    code = "unknown_family"


class UnsupportedOptionError(CheckpointError):
    """An option or a processor step changes the numbers in a way that the graphs do not compute."""

    code = "unsupported_option"


class DeviceError(SetupError):
    """No policy can be measured on this device; the message says what is missing."""

    code = "device"
