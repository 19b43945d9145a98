"""What results say of themselves, a few lines each: `summary` the form, the other files the words."""
