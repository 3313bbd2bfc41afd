"""ModelBox within other frameworks: one file each, which alone imports its framework."""
