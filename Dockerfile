# docker build -t doorward .          the server: the last stage, and the default
# docker compose up --build           the server with PostgreSQL, Redis, the examples and a gateway
#
# A tag can be moved to other contents and a digest cannot, so a release names the base images by both:
#
#   docker build --build-arg NODE_IMAGE=node:26.10.0-slim@sha256:<digest> …
#
# docs/releasing.md says how to look the digests up. Node 26 is an LTS line, and this is the version that the tests run on.
ARG NODE_IMAGE=node:26.10.0-slim
ARG NGINX_IMAGE=nginx:1.30.4-alpine

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# No package that runs here needs its install script. Only the dev dependency `node` does, and images do not have it.
RUN npm ci --omit=dev --workspaces=false --ignore-scripts --no-audit --no-fund

# Makes what services and pages import. The server needs no build: Node runs its TypeScript.
FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --workspaces=false --ignore-scripts --no-audit --no-fund
COPY build.ts tsconfig.json tsconfig.build.json LICENSE ./
COPY packages packages
COPY src src
RUN npm run build

# The gateway of docker-compose.yml.
FROM ${NGINX_IMAGE} AS gateway
COPY examples/gateway/nginx/doorward.conf.template /etc/nginx/templates/default.conf.template
COPY examples/club /srv/page
COPY --from=build /app/packages/browser/dist /srv/browser
ENV LISTEN=8080 PAGE_ROOT=/srv/page BROWSER_ROOT=/srv/browser
EXPOSE 8080

# Node alone: what is not there cannot be used against the server, and needs no security updates.
FROM ${NODE_IMAGE} AS runtime
RUN rm -rf /usr/local/lib/node_modules /usr/local/include /opt/yarn* /usr/local/bin/docker-entrypoint.sh \
  /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn /usr/local/bin/yarnpkg
# That of the base image is a shell script.
ENTRYPOINT []
WORKDIR /app
ENV NODE_ENV=production HOST=0.0.0.0

# The example services of docker-compose.yml.
FROM runtime AS examples
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/packages/verifier node_modules/@doorward/verifier
COPY package.json ./
COPY examples examples
USER 1000:1000

FROM runtime AS server
COPY --from=dependencies /app/node_modules node_modules
COPY package.json LICENSE ./
COPY bin bin
COPY drizzle drizzle
COPY src src
ENV PATH=/app/bin:${PATH}
# For EMBEDDED=true: a volume that is mounted here gets this owner. Any other user can use it too if the group is root's,
# as on OpenShift.
RUN install -d -m 770 -o 1000 -g 0 data && ln -s doorward.cjs bin/doorward
VOLUME /app/data
# As a number, since Kubernetes cannot see that a name is not root's.
USER 1000:1000
EXPOSE 3000
# Node itself is process 1: no shell and no npm stands between it and the signal, which it handles. The only processes that it
# starts are its own workers, and it waits for their ends, so `docker run --init` adds nothing.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --start-interval=1s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 3000}${process.env.PATH_PREFIX || ''}/health/live`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "src/server.ts"]
# Last, so that a new version or commit changes no layer.
ARG NODE_IMAGE
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="Doorward" \
  org.opencontainers.image.description="A standalone, self-hosted auth server" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.source="${SOURCE}" \
  org.opencontainers.image.base.name="${NODE_IMAGE}"
