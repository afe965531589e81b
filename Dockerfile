# One image for every service: code server, Dagster UI, daemon, dashboard, migrations. `docker run IMAGE` says what is
# configured; `docker run IMAGE run` runs the pipeline once.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

COPY requirements-image.lock ./
RUN pip install --no-compile -r requirements-image.lock && python -m compileall -q -j 0 /usr/local/lib/python3.13/site-packages

# Dagster reads pyproject.toml beside the package at run time, so the package is installed editable.
COPY pyproject.toml README.md LICENSE dagster.yaml workspace.yaml workspace.docker.yaml ./
COPY horror_pipeline ./horror_pipeline
COPY deploy/entrypoint.sh /usr/local/bin/
RUN pip install --no-deps --editable . \
 && python -m compileall -q horror_pipeline \
 && useradd --create-home --uid 10001 horror \
 && mkdir -p /var/lib/horror /opt/dagster/dagster_home \
 && chown horror:horror /var/lib/horror /opt/dagster/dagster_home

USER horror
ENV HORROR_HOME=/var/lib/horror
VOLUME /var/lib/horror

# `exec -- COMMAND` exports what Dagster's commands need and becomes COMMAND; `dagster …` alone does so too.
ENTRYPOINT ["entrypoint.sh"]
CMD ["doctor"]
