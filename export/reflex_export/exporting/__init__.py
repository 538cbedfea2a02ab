"""From a checkpoint to a published policy: the order of the steps, and what is refused on the way."""
