"""What workers work on: one module for each library, which its own command line tool runs.

    work    what they are told by their environment, and what a handler does

As drivers do, they run in different environments.
"""
