"""The state of views: what it consists of, which types it may hold, how it is saved."""
