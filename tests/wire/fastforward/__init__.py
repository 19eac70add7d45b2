"""
Tests of L{bmff.wire.fastforward}.
"""
