"""Pure functions from documents and frames to rows and frames.

They do not read or write anything, do not ask the clock, and do not know what was stored before, except as an argument.
"""
