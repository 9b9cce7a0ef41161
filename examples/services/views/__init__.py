"""The guide's views, as it prints them: one module per example."""
