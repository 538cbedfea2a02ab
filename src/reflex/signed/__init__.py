"""What the control plane signs and others check without it: session credentials and receipts, over canonical JSON."""
