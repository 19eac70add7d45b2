"""
Datagrams on the reactor, many at a system call.
"""
