"""Data sets as tensors: what is known of them (``catalog``), and the images (``dataset``).

Importing this package, or ``explorer.data.catalog``, does not import torch.
"""
