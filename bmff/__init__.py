"""
A Twisted plugin suite that runs a node of a DMR network.
"""
