"""Where the bytes of files are kept, and how they are known to be right."""
