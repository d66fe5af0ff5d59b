"""Running workflows: profiles, resume, progress, crash digest."""
