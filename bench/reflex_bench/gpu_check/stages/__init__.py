"""What is measured, one module a stage; each runs in a process of its own and hands its figures on at once."""
