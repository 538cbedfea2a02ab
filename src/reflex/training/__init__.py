"""Training runs as who asks for them, who queues them and who works on them all know them."""
