"""Conversations: create, list, search, rename, delete."""
