"""
Tests of C{bmff.dmr}.
"""
