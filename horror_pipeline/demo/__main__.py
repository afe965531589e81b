"""Serve the demo as the child process that `process.spawn` starts; by hand, use `horror demo`."""

import sys

from horror_pipeline.demo.process import main

sys.exit(main())
