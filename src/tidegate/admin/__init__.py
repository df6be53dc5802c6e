"""The admin HTTP API of a running instance, and its client."""
