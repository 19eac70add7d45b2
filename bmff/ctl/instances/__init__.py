"""
C{bmffctl instance}: the nodes of one host, a file, a unit and a row of the registry for each.
"""
