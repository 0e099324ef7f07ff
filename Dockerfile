# docker build -t pistachio .
# docker run -v ./nutcracker.yml:/etc/nutcracker/nutcracker.yml:ro -p 22121:22121 pistachio
#
# Two stages: the first one makes the one-file executable, the second one contains only this file.

FROM node:24.21-bookworm AS build
WORKDIR /app
COPY package.json package-lock.json ./
# The image has the Node that the package `node` would install, so no install script has to run.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY src src
RUN node scripts/package-binary.mjs /app/pistachio

# Node needs the C++ library, the health check needs bash.
FROM debian:bookworm-slim
COPY --from=build /app/pistachio /usr/sbin/pistachio
COPY --from=build /app/pistachio.licences.txt /usr/share/doc/pistachio/
RUN apt-get update \
  && apt-get install -y --no-install-recommends libstdc++6 \
  && rm -rf /var/lib/apt/lists/* \
  && ln -s pistachio /usr/sbin/nutcracker \
  && useradd --system --no-create-home --shell /usr/sbin/nologin pistachio
# Without it the executable sets it and executes itself again, which takes 25 ms.
ENV MALLOC_MMAP_THRESHOLD_=131072
USER pistachio
# A pool on nutcracker's usual port, and the statistics.
EXPOSE 22121 22222
# SIGTERM starts a graceful shutdown: give `docker stop` at least --drain-timeout.
STOPSIGNAL SIGTERM
# Reads the statistics. If you set another port with `-s`, set STATS_PORT to the same value.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
  CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${STATS_PORT:-22222} && grep -q '\"service\"' <&3"]
ENTRYPOINT ["pistachio"]
CMD ["-c", "/etc/nutcracker/nutcracker.yml"]
