"""What an installation in a Kubernetes cluster consists of, as values. Pure.

Comes in: the options of an installation. Goes out: the objects to apply, each with a sentence for people, and the
holes that the Helm chart leaves in them. Writing YAML is the business of whoever prints them.
"""
