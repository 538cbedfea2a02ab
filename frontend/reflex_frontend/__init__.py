"""The serving frontend: `POST /act` over HTTP in front of Triton. `serve` puts it together."""
