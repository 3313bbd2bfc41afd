"""Rules that decide by themselves: of values that they are given, without a database and without a clock."""
