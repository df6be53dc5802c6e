"""The only speaker to a Kubernetes API server: raw mappings in and out, refusals as ``KubeError``.

What the mappings mean is left to sources, reporting and fleet. Needs the extra ``kubernetes``, whose library does
configuration and authentication; import this package only where a cluster is wanted.
"""
