"""What server and browser say to each other: names of frames, and messages of a page's mailbox."""
