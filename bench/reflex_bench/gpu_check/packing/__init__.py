"""`make gpu-pack`: all that `make gpu-check` needs on a machine with a card and without network, in one folder."""
