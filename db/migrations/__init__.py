"""Alembic's room: each file in `versions` brings the schema one step further, and none goes back."""
