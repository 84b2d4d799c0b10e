"""The FHIRcast 3.0.0 hub."""

__version__ = "0.1.0"
