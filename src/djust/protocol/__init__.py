"""The names of the wire, and the messages of a page's mailbox."""
