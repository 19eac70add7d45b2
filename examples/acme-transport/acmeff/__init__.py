"""
FastForward over any stream endpoint of Twisted.
"""
