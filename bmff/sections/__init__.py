"""
The sections of a node's configuration file.
"""
