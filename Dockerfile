# Two stages: what builds stays behind. Data, when PostgreSQL is embedded, lives in the volume /data.
# The server refuses a public bind until a token is stored: see docs/docker.md.
FROM python:3.11-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/modelbox
WORKDIR /source

# The locked dependencies change less often than the code, so they are a layer of their own.
COPY requirements/server.txt requirements/server.txt
RUN /opt/modelbox/bin/python -m pip install --quiet --require-hashes -r requirements/server.txt

COPY pyproject.toml LICENSE README.md ./
COPY db db
COPY graphql_schema graphql_schema
COPY app app
RUN /opt/modelbox/bin/python -m pip install --quiet --no-deps --no-build-isolation . \
    && /opt/modelbox/bin/python -m pip uninstall --quiet --yes setuptools pip

FROM python:3.11-slim-bookworm

# A fixed uid, so that a volume keeps its owner from one image to the next.
RUN groupadd --gid 10001 modelbox \
    && useradd --uid 10001 --gid modelbox --no-create-home --home-dir /data --shell /usr/sbin/nologin modelbox \
    && install --directory --owner modelbox --group modelbox --mode 0700 /data
COPY --from=build /opt/modelbox /opt/modelbox

ENV PATH=/opt/modelbox/bin:$PATH MODELBOX_DATA_DIR=/data PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000

# Ready means that the database answers. The start covers migrations and a recovery after a crash.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]

ENTRYPOINT ["modelbox-server"]
CMD ["serve", "--host", "0.0.0.0"]
