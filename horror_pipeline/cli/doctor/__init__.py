"""The checks of horror doctor."""
