"""
Tests of C{bmff.sockets}.
"""
