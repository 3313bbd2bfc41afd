"""What can be changed: inputs, payloads and mutations, one module for each kind of object."""
