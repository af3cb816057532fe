"""The whole system on one machine without containers: three servers and four services as plain processes.

Everything lives in one directory (`.verbatim/` for `./run`, `.verbatim/test/` for the tests), listens on loopback only, and
touches no server that this package did not start.
"""
