"""
The tests of bmff, one package for each room of the house.
"""
