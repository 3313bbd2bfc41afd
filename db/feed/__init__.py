"""The feed: what followers of a stream are shown, from any of its numbers on, without gap."""
