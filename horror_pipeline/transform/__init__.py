"""Pure functions from documents and frames to rows and frames: no input or output, no clock."""
