"""Data planes side by side on test hosts: `make bench-dataplanes`."""
