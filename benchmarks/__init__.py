"""
What a node costs, as ratios to a named reference that runs in turn with it.
"""
