"""Starting, stopping, reloading and losing processes."""
