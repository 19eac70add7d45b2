"""
Tests of C{bmff.wire.brandmeister}.
"""
