"""
Tests of C{bmff.testing}.
"""
