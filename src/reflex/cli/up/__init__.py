"""`reflex up`: server and control plane together, on one machine and by one command."""
