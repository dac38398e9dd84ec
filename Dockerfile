# The worker and the rest of the command line, in an image that holds nothing but Node, the production packages and the
# built JavaScript.

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# Without install scripts: the only one that does anything downloads another Node, and this image is one.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build

FROM node:24-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --omit=dev --no-audit --no-fund
# The optional peer, without which `postlane outbox` only says what to install.
RUN node -e "require.resolve('pg')"

FROM node:24-bookworm-slim
ENV NODE_ENV=production \
    POSTLANE_CONFIG=/etc/postlane/postlane.yaml \
    HEALTH_URL=http://127.0.0.1:8080/livez
WORKDIR /app
COPY package.json LICENSE* ./
COPY --from=packages /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY assets assets
# The user `node` of the base image, which needs to write nowhere; as numbers, so that a kubelet can tell that it is not root.
USER 1000:1000
# Asks whether the worker is alive, for supervisors that restart what is not; an outage of Redis does not count. The
# configuration has to switch it on (worker.health.port: 8080); for `serve` set HEALTH_URL to port 8025.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=4 \
  CMD ["node", "-e", "fetch(process.env.HEALTH_URL, { signal: AbortSignal.timeout(4000) }).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/cli/main.js"]
CMD ["worker"]
