"""What a person's open screens should hear of."""
