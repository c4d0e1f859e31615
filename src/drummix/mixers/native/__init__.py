"""The Wave-U-Net computed by drummix itself: BLAS for the products, numba for what is around them.

Belongs here: convolutions with fewer multiplications, and the network as a stream that keeps what
each layer will hear again. Does not belong here: other runtimes, or how much memory to use (see
`drummix.mixers.compute` and `drummix.mixers.runtimes`).
"""
