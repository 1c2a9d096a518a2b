"""What the assistant knows: cards and larger corpora, cut into passages, indexed and searched."""
