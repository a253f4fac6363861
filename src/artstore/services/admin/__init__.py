"""The admin role: issues tokens, knows accounts and storage elements, keeps the index of files.

The role itself is in :mod:`artstore.services.admin.role`: commands that only need a model import little.
"""
