"""What every role is composed from: the plugin API, HTTP, configuration, stores, clients."""
