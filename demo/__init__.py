"""A real training job that reports to ModelBox by plain GraphQL, as any script could."""
