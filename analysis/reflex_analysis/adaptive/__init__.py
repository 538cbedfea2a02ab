"""Adaptive denoising steps, tried on recorded observations: what the rule saves, and what it costs."""
