"""The fields of `Subscription`: what each follows, and how its frames are read."""
