"""
Twisted protocols: a wire spoken on a transport.
"""
