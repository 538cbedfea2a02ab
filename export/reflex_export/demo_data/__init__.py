"""The demo policy's checkpoint, made from a seed."""
