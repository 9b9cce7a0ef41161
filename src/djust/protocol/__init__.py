"""What server and browser say to each other: names of frames, and the messages of a page's mailbox."""
