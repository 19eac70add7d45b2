"""
A client of an MQTT broker on the reactor (MQTT 3.1.1, OASIS 2014), by paho-mqtt without a thread.
"""
