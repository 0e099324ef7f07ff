# docker build -t pistachio .
# docker run -v ./nutcracker.yml:/etc/nutcracker/nutcracker.yml:ro -p 22121:22121 pistachio
#
# Two stages: the first one makes the one-file executable, the second one holds it and nothing else.

FROM node:24.21-bookworm AS build
WORKDIR /app
COPY package.json package-lock.json ./
# The image brings the Node that the package `node` would install, so no install script has to run.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY src src
RUN node scripts/package-binary.mjs /app/pistachio

# It has the C++ library that Node needs, and bash for the health check.
FROM debian:bookworm-slim
COPY --from=build /app/pistachio /usr/sbin/pistachio
COPY --from=build /app/pistachio.licences.txt /usr/share/doc/pistachio/
RUN apt-get update \
  && apt-get install -y --no-install-recommends libstdc++6 \
  && rm -rf /var/lib/apt/lists/* \
  && ln -s pistachio /usr/sbin/nutcracker \
  && useradd --system --no-create-home --shell /usr/sbin/nologin pistachio
# What the executable would give itself by a second start of 25 ms.
ENV MALLOC_MMAP_THRESHOLD_=131072
USER pistachio
# The pool of the usual configuration, and the statistics.
EXPOSE 22121 22222
# SIGTERM drains: give `docker stop` as long as --drain-timeout.
STOPSIGNAL SIGTERM
# Reads the statistics as any monitoring tool does. STATS_PORT must be what `-s` says, when it says anything.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
  CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${STATS_PORT:-22222} && grep -q '\"service\"' <&3"]
ENTRYPOINT ["pistachio"]
CMD ["-c", "/etc/nutcracker/nutcracker.yml"]
