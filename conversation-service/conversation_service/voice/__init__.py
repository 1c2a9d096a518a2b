"""What is said aloud, as messages of the conversation."""
