"""What the writers and the readers of our own records agree on; needs nothing, so that training workers start fast."""

SCHEMA_VERSION = 1  # of plan.json and record.json
MARK = "isoflop_schema"  # in the W&B config of our own runs: the version of the record that they mirror
