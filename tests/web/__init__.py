"""
Tests of C{bmff.web}.
"""
