"""What is judged of each kind of message; written from the rows, not from anybody's code."""
