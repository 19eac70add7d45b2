"""
The node on MQTT: what happens in it is told, and what it is asked for there is done.
"""
