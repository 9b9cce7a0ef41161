"""What server and browser say to each other: names of frames and their JSON. No I/O."""
