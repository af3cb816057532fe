"""Placing the words that were heard in time, with the best aligner that the machine has for their language."""
