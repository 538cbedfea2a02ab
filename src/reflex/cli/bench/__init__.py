"""`reflex bench`: what a running server is good for, measured."""
