"""
Bytes to values and back, and sessions as pure state machines: no Twisted, no I/O, no clock.
"""
