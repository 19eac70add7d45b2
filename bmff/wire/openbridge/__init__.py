"""
OpenBridge: how servers of DMR networks hand calls to each other, each packet under a shared key.
"""
