"""What server and browser say to each other: the names of frames and their JSON. No I/O, and no views."""
