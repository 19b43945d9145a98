"""How precise a planned sweep will be, before it is trained."""
