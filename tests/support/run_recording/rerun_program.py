"""Records two episodes as Rerun files, in the Python where Rerun is installed: `rerun_program.py FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from support.run_recording.runs import recorded

if __name__ == "__main__":
    print(recorded(Path(sys.argv[1]), ["rerun"], {30: True, 12: None}))
