"""The data planes in a cluster: each Gateway's own Kubernetes objects, and the certificates of its proxies."""
