"""Sessions: one robot driven by one deployment for a while, from dry_run by promotion to its end."""
