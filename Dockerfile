# docker build -t pistachio .
# docker run -v ./nutcracker.yml:/etc/nutcracker/nutcracker.yml:ro -p 22121:22121 pistachio
#
# Three stages: the compiler stays behind, the packages that run are installed without it, and the last one holds nothing else.

FROM node:24.21-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# The image brings the Node that the package `node` would install, so no install script has to run.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts/build.mjs scripts/
COPY types types
COPY src src
RUN node scripts/build.mjs

FROM node:24.21-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --omit=dev

FROM node:24.21-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY package.json ./
COPY bin bin
COPY scripts/healthcheck.mjs scripts/
COPY --from=packages /app/node_modules node_modules
COPY --from=build /app/dist dist
RUN ln -s /app/bin/pistachio /usr/local/bin/pistachio \
  && ln -s /app/bin/pistachio /usr/local/bin/nutcracker
USER node
# The pool of the usual configuration, and the statistics.
EXPOSE 22121 22222
# SIGTERM drains: give `docker stop` as long as --drain-timeout.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["node", "/app/scripts/healthcheck.mjs"]
ENTRYPOINT ["pistachio"]
CMD ["-c", "/etc/nutcracker/nutcracker.yml"]
