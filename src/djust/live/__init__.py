"""Open pages: how they begin and end, their turns, their guards, and their channels."""
