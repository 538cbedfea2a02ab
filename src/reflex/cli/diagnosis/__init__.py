"""What `reflex doctor` finds out about this machine: the facts, and what they mean for `reflex serve`."""
