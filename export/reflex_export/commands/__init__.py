"""What `reflex export`, `verify`, `inspect` and `engines build` run."""
