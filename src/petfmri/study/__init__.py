"""Who was scanned when, what pairs with what, and where derivatives go."""
