"""
Tests of C{bmff.brokers}.
"""
