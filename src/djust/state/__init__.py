"""The state of views: what it consists of, what may stand in it, and the ticket that leads back to it."""
