"""Plans of what to read, and the one SQL statement that each becomes."""
