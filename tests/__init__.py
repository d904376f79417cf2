"""The tests, on floors: unit (no socket), redis (one server), process (whole programs)."""
