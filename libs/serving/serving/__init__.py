"""The frame of a service: its application, health, problems and bounds."""
