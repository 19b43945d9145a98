"""What the report of one fit says: `page.py` assembles it, a file a section."""
