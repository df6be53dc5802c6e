"""What makes an API object valid: the slow, complete walk, the fast check, and the tables of rules.

Comes in: mappings and the annotated classes of ``tidegate.model``. Goes out: problems with field paths.
``tidegate.model.decode`` is the way in.
"""
