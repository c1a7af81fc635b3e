"""See `ostiary`."""
