"""The command line: `modelbox`."""
