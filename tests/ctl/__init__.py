"""
Tests of C{bmff.ctl}.
"""
