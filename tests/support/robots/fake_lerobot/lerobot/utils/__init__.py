"""Where the loader of plugins lies."""
