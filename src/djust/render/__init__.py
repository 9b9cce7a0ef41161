"""Values of a page, and their differences."""
