"""The threads in which user code runs, so that only its own page waits for it."""
