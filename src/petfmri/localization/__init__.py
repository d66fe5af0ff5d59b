"""From published coordinates to the network that their connectivity shares."""
