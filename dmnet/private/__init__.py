"""What stands on private things of PyTorch, Python and glibc, each with a test that fails without.

    collector   Python's garbage collector, frozen after imports
    counting    PyTorch's table of FLOPs, its dispatch mode and the numbers of its storages
    memory      glibc's `mallopt`
    sgd         the methods of PyTorch's optimizer below what wraps them

Also private, in a room of their own with their tests: oneDNN's operations (dmnet/optimised).
"""
