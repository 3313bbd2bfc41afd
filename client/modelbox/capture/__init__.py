"""What a run is trained on: code, command, machine, packages, load. docs/client-privacy.md says what leaves it."""
