"""What a recording is about, in its order."""
