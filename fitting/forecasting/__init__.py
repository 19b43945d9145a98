"""What to train with so much compute: optima, inverse questions, costs."""
