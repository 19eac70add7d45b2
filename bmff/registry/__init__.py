"""
What nodes know together: each other, and how to reach one another.
"""
