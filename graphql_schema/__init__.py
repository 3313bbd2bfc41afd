"""What the outside may say: the types of the API, and how requests become plans."""
