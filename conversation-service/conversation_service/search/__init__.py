"""Full-text search over a person's conversations."""
