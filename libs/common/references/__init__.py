"""Texts that recordings are expected to follow, line by line."""
