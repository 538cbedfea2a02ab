"""`make gpu-check`: what one card makes of the policies; `make gpu-pack`: the same without network."""
