"""Who may ask: keys of a file, and sessions that a control plane granted."""
