"""Tests of the package, mirroring its folders."""
