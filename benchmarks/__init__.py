"""What is promised about speed: real roles measured side by side with a limit or a peer."""
