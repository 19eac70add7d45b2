"""
Tests of C{bmff.protocols.mqtt}.
"""
