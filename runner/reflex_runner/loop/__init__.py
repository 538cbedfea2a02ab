"""The threads of a run, and the process that watches over them.

Senses (a thread) ─▶ observation ─▶ Inference (a thread) ─▶ chunk ─▶ ControlLoop (a thread) ─▶ Hands ─▶ connector
                                                                         │ a byte each period
                                                                         ▼
                                                        guardian (a process of its own)
"""

from __future__ import annotations
