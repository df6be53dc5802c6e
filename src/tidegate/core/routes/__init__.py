"""One file per route kind, and the table of them."""
