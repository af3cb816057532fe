"""Which lines of a given text were said, and when."""
