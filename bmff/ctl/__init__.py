"""
bmffctl, the operator's command.
"""
