"""ModelBox in a training script: `init`, `log`, `finish`."""
