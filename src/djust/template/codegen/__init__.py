"""Steps and nodes → Python: one module per kind of code that is written."""
