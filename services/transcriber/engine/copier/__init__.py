"""The redacted copy of a recording, made in a process of its own: the file was decoded once before, which does not make it harmless."""
