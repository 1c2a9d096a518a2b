"""`python -m medbot`."""

from medbot.main import app

app()
