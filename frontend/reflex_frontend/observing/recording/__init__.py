"""`--record DIR`: what was asked and answered, as lines in gzip files, written beside the serving, never in its way.

`recorder` takes entries on the event loop and writes them on its own thread; `writer` chooses the file, `trace_file` is
one of them, `episode_files` says which episodes get their own, `directory` keeps all under a cap, `entry` and `images`
make lines of `reflex.traces.schema`.
"""
