"""Pure functions that convert documents and data frames to rows and data frames.

They do not access files, the warehouse, the network or the clock. Data that was stored before is an argument.
"""
