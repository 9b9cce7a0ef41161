"""What makes a rendering cheaper and never changes it: skipped steps, early relations."""
