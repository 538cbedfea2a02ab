"""The robots that a run can drive, each behind the five methods of `reflex.connector.Connector`.

`build_connector` makes one of what `hardware` in robot.yaml says; a module for each kind lies beside it.
"""

from __future__ import annotations
