"""What server and browser send each other: names of frames, and messages of the mailbox."""
