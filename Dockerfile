# The command line in a small image:
#   docker build -t datagym-async .
#   docker run --rm -e DATAGYM_TOKEN -v "$PWD/photos:/photos:ro" -v datagym-state:/state datagym-async upload /photos -d Photos
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY datagym_async datagym_async
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir '.[cli,formats,images,speed]'

FROM python:3.13-slim
COPY --from=build /opt/venv /opt/venv
RUN useradd --uid 10001 --create-home datagym && mkdir /state && chown datagym /state
# By number, so that a cluster sees that it is not root.
USER 10001
ENV PATH=/opt/venv/bin:$PATH DATAGYM_STATE_DIR=/state PYTHONUNBUFFERED=1
VOLUME /state
WORKDIR /home/datagym
ENTRYPOINT ["datagym-async"]
CMD ["--help"]
