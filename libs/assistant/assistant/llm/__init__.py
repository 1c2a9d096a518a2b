"""Models behind OpenAI-compatible addresses, asked in order of preference."""
