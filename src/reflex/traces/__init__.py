"""Recordings of `reflex serve --record`: their lines, and what reads, replays and judges them.

`schema` is shared with the recorder; `reader` streams files; `summary`, `compare` and `replay` are the commands' work.
"""
