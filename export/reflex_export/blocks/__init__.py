"""The parts that the families' graphs are made of: transformers, vision towers, denoise loops."""
