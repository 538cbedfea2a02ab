"""`reflex keys`: make, show, replace and take back the API keys of `reflex serve --api-keys`."""
