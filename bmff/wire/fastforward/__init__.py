"""
FastForward on the wire: the handshake of a path, its packets, and what they carry.
"""
