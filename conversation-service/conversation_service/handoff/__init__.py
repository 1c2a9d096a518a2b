"""Handing a conversation over to a clinician."""
