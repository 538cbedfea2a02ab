"""What is known: models, robot schemas, robots, and deployments of a model for robots of a schema."""
