"""Storage back end ``local``: objects are plain files under one directory of this host."""
