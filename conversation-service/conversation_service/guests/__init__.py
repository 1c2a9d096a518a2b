"""Guests: what they made becomes a person's, or goes."""
