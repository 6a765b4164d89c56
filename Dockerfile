# One image, one entry point: docker build -t rbl . && docker run -p 5300:5300/udp -p 5300:5300 -p 8080:8080 \
#     -p 2525:2525 -v rbl:/var/lib/rbl rbl
# The parts as processes of their own: the same image with other arguments (rbl --help).

FROM python:3.11-slim-bookworm AS build
WORKDIR /build
# For the compiled DNS path; this stage is thrown away.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
RUN python -m venv /opt/rbl
# The locked packages first: they change less often than the program.
COPY requirements.lock ./
RUN /opt/rbl/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock
COPY . ./
RUN BUILD_HOT_PATH=yes /opt/rbl/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/rbl/bin/pip install --no-cache-dir --no-deps dist/rbl-*.whl

FROM python:3.11-slim-bookworm
# A fixed number, so that a volume's owner stays the same from image to image.
RUN useradd --system --uid 5300 --home-dir /var/lib/rbl --create-home rbl && chmod 700 /var/lib/rbl
COPY --from=build /opt/rbl /opt/rbl
COPY zones /etc/rbl/zones
ENV PATH=/opt/rbl/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RBL_ZONES=/etc/rbl/zones/relays.example.toml \
    RBL_DATA_DIR=/var/lib/rbl \
    RBL_DATABASE__URL=sqlite:////var/lib/rbl/rbl.db \
    RBL_DNS__LISTEN=0.0.0.0:5300 \
    RBL_WEB__LISTEN=0.0.0.0:8080 \
    RBL_COLLECTOR__LISTEN=0.0.0.0:2525
USER rbl
WORKDIR /var/lib/rbl
VOLUME /var/lib/rbl
EXPOSE 5300/udp 5300/tcp 8080 2525
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["rbl"]
CMD ["serve"]
