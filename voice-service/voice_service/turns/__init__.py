"""What was said in a session: recorded once and in order, read, followed."""
