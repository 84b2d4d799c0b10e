"""Bytes against every parser: `make fuzz`, and a short run among the tests.

`targets` is the table; `corpus` has what inputs are made from, `mutation` makes them, `__main__`
counts, times and reports.
"""
