"""What `reflex doctor` finds out about this machine, and `reflex diagnose` about a served policy by recordings."""
