"""Stand-in for safetensors where it is not installed: the file format in a page of Python.

Source: the format's own description: eight bytes with the length of a JSON header, which gives
type, shape and place of every tensor; then the tensors themselves.
"""


class SafetensorError(Exception):
    """The bytes are not a safetensors file."""
