"""Values of a page, their differences, and the frames that carry them."""
