"""What it takes to export checkpoints of full size."""
