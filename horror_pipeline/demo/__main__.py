"""The made-up TMDB as a child process: `python -m horror_pipeline.demo`, started by `process.spawn`.

To run it by hand use `horror demo`.
"""

import sys

from horror_pipeline.demo.process import main

sys.exit(main())
