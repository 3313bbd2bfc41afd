"""Points that arrive together, and the figures that are kept of each series."""
