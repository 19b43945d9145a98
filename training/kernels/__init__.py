"""Ways to compute a step: loss and gradients of one cell or of a stack of them."""
