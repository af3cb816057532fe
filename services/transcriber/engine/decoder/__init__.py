"""Decoding in a process of its own, since files are made by anybody: what one can do to its decoder, it does to nothing else."""
