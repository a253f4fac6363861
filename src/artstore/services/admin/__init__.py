"""The admin role: issues tokens, knows accounts and storage elements, keeps the index of files."""

from artstore.services.admin.role import ROLE

__all__ = ["ROLE"]
