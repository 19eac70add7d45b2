"""
The other nodes: which there are, how each is reached, what passes between them and the router.
"""
