"""Delays after failed sign-ins."""
