# One image for every service: code server, Dagster UI, daemon, dashboard, migrations.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

COPY requirements.lock ./
RUN pip install -r requirements.lock

# Dagster reads pyproject.toml beside the package at run time, so the package is installed editable.
COPY pyproject.toml README.md LICENSE dagster.yaml workspace.yaml ./
COPY horror_pipeline ./horror_pipeline
RUN pip install --no-deps --editable . \
 && useradd --create-home --uid 10001 horror \
 && mkdir -p /var/lib/horror && chown horror:horror /var/lib/horror

USER horror
ENV HORROR_HOME=/var/lib/horror
VOLUME /var/lib/horror

# Exports what Dagster's commands need, then becomes the service's command.
ENTRYPOINT ["horror", "exec", "--"]
CMD ["horror", "doctor"]
