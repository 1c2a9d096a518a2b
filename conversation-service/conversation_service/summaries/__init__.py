"""The running summary of a conversation."""
