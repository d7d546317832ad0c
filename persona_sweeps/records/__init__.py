"""What runs leave behind: their folders, records and identity. Standard library only."""
