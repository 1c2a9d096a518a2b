"""The media server: tokens, agents sent into rooms, rooms closed, what it tells."""
