"""What can be done, one module for each kind of object."""
