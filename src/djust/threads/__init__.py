"""The threads in which user code runs, so that nobody waits for it but its caller."""
