"""Whether an exported policy computes what its checkpoint says, and where it does not."""
