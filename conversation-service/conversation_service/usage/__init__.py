"""What models cost: counted by day and person, and capped."""
