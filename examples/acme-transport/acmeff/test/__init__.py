"""
The tests of L{acmeff}, for trial.
"""
