"""What a browser may call, and with what."""
