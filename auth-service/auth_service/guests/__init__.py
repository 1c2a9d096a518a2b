"""Guests: people without an account, for an hour."""
