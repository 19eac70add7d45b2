"""
What FastForward runs on, each behind L{bmff.ibmff.ITransport}.
"""
