"""What stands between a host and a working data plane: the looking (``looking``), and what follows from it (pure)."""
