"""
Tests of L{bmff.cluster}.
"""
