"""
Tests of C{bmff.router}.
"""
