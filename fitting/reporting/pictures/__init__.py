"""The pictures of a fit: what each shows (`picture`), drawn for print by `paper` and for the page by `interactive`."""
