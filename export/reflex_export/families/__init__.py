"""One module per policy family: a `Checkpoint` in, the graphs of a model repository out."""
