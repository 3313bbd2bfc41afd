"""What is done in the background: found from what is stored, on a tick, by any process."""
