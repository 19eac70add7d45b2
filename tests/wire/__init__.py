"""
Tests of C{bmff.wire}.
"""
