"""Talking to Medbot: sessions, sockets and the agent."""
