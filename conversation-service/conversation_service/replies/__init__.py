"""Replies: begun, written part by part, streamed, resumed, stopped."""
