"""
Shipped help for tests: a virtual network, simulated hotspots, mutations.
"""
