"""What is kept in SQL: statements written once for every engine, one small class per table.

A store holds no state but its :class:`~artstore.core.spec.Database`; make as many as you like. Every
method may raise ``UnavailableError``.
"""
