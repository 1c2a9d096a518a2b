"""Titles and summaries, made in the background."""
