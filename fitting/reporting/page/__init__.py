"""A self-contained HTML page: `content` is what it says, `build` makes the file."""
