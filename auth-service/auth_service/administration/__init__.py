"""People's accounts and what got stuck, for who runs the installation."""
