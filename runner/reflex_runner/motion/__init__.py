"""What the robot is commanded, period by period: pure, without threads or I/O; the time is an argument.

chunk ─▶ ChunkBuffer ─▶ Seam ─▶ CommandGuard ─▶ command        StopDescent: hold ─▶ return_to_rest ─▶ release
         (Freshness: is it young enough?)                      (Pilot decides which of the two commands)
"""

from __future__ import annotations
