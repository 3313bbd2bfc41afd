"""How the outside reaches ModelBox: HTTP, sockets, sign-in, settings, the command line, telemetry."""
