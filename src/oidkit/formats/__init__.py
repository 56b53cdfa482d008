"""Training formats: what a dataset folder holds, written the way that training tools read it.

A format is a module of its own here. `oidkit.formats.model` has the values that they share.
"""

__all__ = ()
