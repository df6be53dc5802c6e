"""What users write: the API kinds that tidegate reads, as immutable typed values.

Comes in: mappings, as decoded from YAML or JSON. Goes out: typed objects, or problems with field paths.
"""
