"""Voice sessions: made, watched, changed, ended."""
