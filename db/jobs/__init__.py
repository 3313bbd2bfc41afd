"""What is done in the background: found from what is stored, and done by any process, each piece once."""
