"""
C{bmffctl import}: the configuration of hblink3 or FreeDMR as that of our nodes.
"""
