"""
Tests of C{bmff.transports}.
"""
