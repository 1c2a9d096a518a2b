"""What speech costs: counted by day and person, and capped with everything else."""
