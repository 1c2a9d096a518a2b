"""The medical library, to be searched and read."""
