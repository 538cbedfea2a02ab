"""Motion across the borders of chunks: what an episode carries from one answer into the next request."""
