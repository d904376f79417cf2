"""One module for each program that is measured; see driver.py.

They run in different environments: a driver imports its own library, the standard library
and driver.py.
"""
