"""Mails: what they say, how they leave, and that none is lost."""
