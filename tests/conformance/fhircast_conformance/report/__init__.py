"""Reports of a run: a table for the terminal, JSON, JUnit for CI, one HTML file for people."""
