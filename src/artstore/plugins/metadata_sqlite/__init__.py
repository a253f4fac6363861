"""The ``metadata`` plugin of type ``sqlite``: one database file, written by one thread."""
