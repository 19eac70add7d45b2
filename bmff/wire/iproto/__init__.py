"""
IPROTO, the binary protocol of Tarantool: values, messages and the client's side of a connection.
"""
