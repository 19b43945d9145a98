"""What the writers and the readers of our own records agree on; needs nothing, so that training workers start fast."""

SCHEMA_VERSION = 1  # of plan.json and record.json
MARK = "isoflop_schema"  # in the W&B config of our own runs: the version of the record that they mirror
RECIPE_RANGE, RECIPE_EDGE = "recipe_range", "recipe_edge"  # a record's recipe_notes begin with one and a colon
NOTES_BETWEEN = " | "  # of recipe_notes in a table's cell
