"""What makes a rendering cheaper and never changes what it shows: steps that are skipped, relations fetched early."""
