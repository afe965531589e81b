"""The Dagster objects: assets, checks, jobs, schedules, sensors, partitions and resources. Every module defines some.

A module is named as the asset or asset group it defines, or as the kind of object. An asset reads, makes one call of a
pure function, writes, and returns figures; the functions are in the layers below, which do not know Dagster.
"""
