"""The commands that ask the control plane: each parses, calls one operation of `reflex.control`, and prints."""
