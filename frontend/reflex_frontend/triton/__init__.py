"""The Triton behind the frontend: its calls, its models, and the process when it is ours."""
