"""
Tests of C{bmff.registry}.
"""
