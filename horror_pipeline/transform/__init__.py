"""Pure functions from documents and frames to rows and frames.

They read and write nothing and do not ask the clock; what was stored before is an argument.
"""
