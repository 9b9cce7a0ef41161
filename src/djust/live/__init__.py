"""Open pages: their life, their events, and the two ways by which a browser reaches them."""
