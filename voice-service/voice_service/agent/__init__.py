"""The spoken assistant: one session and one supervisor, whatever carries the sound."""
