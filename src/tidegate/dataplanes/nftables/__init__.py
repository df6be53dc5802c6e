"""The data plane in the Linux kernel: translates connections by nf_tables, so that no process is in their path."""
