"""
The words of DMR apart from any wire: frames, bursts and their codes.
"""
