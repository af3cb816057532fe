"""What is done to a transcript after it was heard: corrections, redaction, masking, and the passages of text that all of them work on."""
