"""What may keep Medbot from running here, and what to do about it."""
