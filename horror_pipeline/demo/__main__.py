"""Serve the demo in the child process that `process.spawn` starts. To start a demo by hand, use `horror demo`."""

import sys

from horror_pipeline.demo.process import main

sys.exit(main())
