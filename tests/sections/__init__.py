"""
Tests of the sections of the configuration.
"""
