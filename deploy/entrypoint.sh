#!/bin/sh
# The image's entry point: a `horror` command, or one of Dagster's with everything it needs made ready and exported. So
# launchers and charts that start containers by arguments alone can use the image as it is.
case "${1:-}" in
  dagster | dagster-*) exec horror exec --wait 300 -- "$@" ;;
  *) exec horror "$@" ;;
esac
