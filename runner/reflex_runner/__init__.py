"""The robot's side: observe, ask a Reflex server, check every command, act, record, and stop safely whatever breaks.

Runs on the robot's computer, with `reflex` alone of our packages: no torch, no Triton, no web server's framework.
"""

from __future__ import annotations
