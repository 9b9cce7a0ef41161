"""The views of the guide in `tests/seed/`, unchanged: one module per example."""
