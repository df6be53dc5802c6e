"""Where statuses go."""
