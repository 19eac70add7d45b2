"""
What a node says on MQTT: topics and payloads of BrandMeister's MQTT API, as far as it is public,
and our own where it is not.
"""
