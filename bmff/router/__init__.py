"""
Who hears whom: talkgroups, slots and calls; no socket, no clock.
"""
