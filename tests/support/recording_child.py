"""A process that records as fast as it can until it is killed. `python -m support.recording_child DIRECTORY`"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from reflex_frontend.observing.recording.recorder import Recorder
from support.recordings import act_entry, trace_header


def main() -> None:
    recorder = Recorder(Path(sys.argv[1]), trace_header(), images="full")
    recorder.start()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    while True:
        recorder.record(act_entry(recorder.records_written, images={"base": noise}))
        time.sleep(0.0005)


if __name__ == "__main__":
    main()
