"""The Dagster objects: assets, checks, jobs, schedules, sensors, partitions and resources. Every module defines some.

A module is named after the asset or asset group that it defines, or after the kind of object. An asset reads, calls one
pure function, writes the result, and returns figures. The pure functions are in packages that do not import Dagster.
"""
