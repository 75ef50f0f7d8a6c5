# docker build -t doorward .          the server: the last stage, and the default
# docker compose up --build           the server with PostgreSQL, Redis, the examples and a gateway

FROM node:24-slim AS base
WORKDIR /app
COPY package.json package-lock.json ./
# npm ci needs the workspaces that the lock file names.
COPY examples/shop/package.json examples/shop/
COPY examples/payments/package.json examples/payments/

FROM base AS dependencies
# No package that runs here needs its install script. Only the dev dependency `node` does, and images do not have it.
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force

FROM base AS build
RUN npm ci --ignore-scripts
COPY build.ts tsconfig*.json ./
COPY src src
RUN npm run build

# The gateway of docker-compose.yml.
FROM nginx:1.28-alpine AS gateway
COPY examples/gateway/nginx/doorward.conf.template /etc/nginx/templates/default.conf.template
COPY examples/club /srv/page
COPY --from=build /app/dist/browser /srv/browser
ENV LISTEN=8080 PAGE_ROOT=/srv/page BROWSER_ROOT=/srv/browser
EXPOSE 8080

# The example services of docker-compose.yml.
FROM base AS examples
ENV NODE_ENV=production HOST=0.0.0.0
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY examples examples
USER node

FROM base AS server
ENV NODE_ENV=production HOST=0.0.0.0
COPY --from=dependencies /app/node_modules node_modules
COPY drizzle drizzle
COPY src src
USER node
EXPOSE 3000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --start-interval=1s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 3000}${process.env.PATH_PREFIX || ''}/health/live`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "src/server.ts"]
