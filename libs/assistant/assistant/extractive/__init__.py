"""Library mode: cited answers put together from the cards' own sentences, without a model."""

from assistant.extractive.compose import Answer, Composer, open_composer

__all__ = ["Answer", "Composer", "open_composer"]
