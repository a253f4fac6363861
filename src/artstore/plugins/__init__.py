"""The back ends that come with ArtStore, registered exactly as anyone else's."""
