"""Hints: what a person probably meant, and how to say it. Pure.

Comes in: API objects with their status, of ``check`` or of a running instance. Goes out: sentences with
what to change, some with text to paste. Whether something is accepted was decided elsewhere; nothing here
decides, it only explains.
"""
