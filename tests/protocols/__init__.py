"""
Tests of C{bmff.protocols}.
"""
