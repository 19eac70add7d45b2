"""
Tests that run in a guest of QEMU, whose kernel has RDMA and vSockets: C{make test-guest}.
"""
