import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../support/free-port.ts';
import { findOrInstall, listens, start, until } from '../support/gateway-program.ts';

type Teardown = { teardown(undo: () => unknown): void };

export const proxyNames = ['nginx', 'haproxy'] as const;
export type ProxyName = (typeof proxyNames)[number];

/** A load balancer in front of the replicas. */
export type Balancer = {
  url: string;
  /** Waits until it sends requests to the server at this address again. */
  uses(address: string): Promise<void>;
  /** What it has written about servers that failed. */
  log(): string;
};

/** Starts a proxy that shares requests out to these addresses (host:port), in turn. */
export function startProxy(t: Teardown, name: ProxyName, addresses: string[]): Promise<Balancer> {
  return name === 'nginx' ? startNginx(t, addresses) : startHaproxy(t, addresses);
}

/** It asks no server for its health: it learns that one is gone when a connection is refused. */
async function startNginx(t: Teardown, addresses: string[]): Promise<Balancer> {
  const binary = await findOrInstall({ name: 'nginx', binary: 'nginx', debianPackage: 'nginx-light' });
  const port = await freePort();
  const folder = folderWith(t, 'nginx.conf', nginxConfiguration(port, addresses));
  const nginx = start(t, binary, ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr']);
  await listens(nginx, port);
  return { url: `http://127.0.0.1:${port}`, uses: async () => {}, log: nginx.output };
}

function nginxConfiguration(port: number, addresses: string[]): string {
  return `
    ${userInfo().uid === 0 ? `user ${userInfo().username};` : ''}
    daemon off;
    worker_processes 1;
    pid nginx.pid;
    events {}
    http {
      access_log off;
      error_log stderr error;
      client_body_temp_path body;
      proxy_temp_path proxy;
      fastcgi_temp_path fastcgi;
      uwsgi_temp_path uwsgi;
      scgi_temp_path scgi;
      upstream doorward {
        ${addresses.map((address) => `server ${address} fail_timeout=2s;`).join('\n')}
        keepalive 32;
      }
      server {
        listen 127.0.0.1:${port};
        keepalive_requests 1000000;
        location / {
          proxy_http_version 1.1;
          proxy_set_header Connection "";
          proxy_pass http://doorward;
        }
      }
    }`;
}

/** It asks each server for its health, every second. */
async function startHaproxy(t: Teardown, addresses: string[]): Promise<Balancer> {
  const binary = await findOrInstall({ name: 'HAProxy', binary: 'haproxy', debianPackage: 'haproxy' });
  const [port, statsPort] = [await freePort(), await freePort()];
  const folder = folderWith(t, 'haproxy.cfg', haproxyConfiguration(port, statsPort, addresses));
  const haproxy = start(t, binary, ['-db', '-f', join(folder, 'haproxy.cfg')]);
  await listens(haproxy, port);
  const uses = async (address: string) => {
    const states = await (await fetch(`http://127.0.0.1:${statsPort}/;csv`)).text();
    return states
      .split('\n')
      .some((line) => line.startsWith(`doorward,${nameOf(address)},`) && line.includes(',UP,'));
  };
  return {
    url: `http://127.0.0.1:${port}`,
    uses: async (address) => {
      await until(
        () => uses(address),
        () => `HAProxy never used ${address}`,
      );
    },
    log: haproxy.output,
  };
}

function haproxyConfiguration(port: number, statsPort: number, addresses: string[]): string {
  return `
    defaults
      mode http
      timeout connect 2s
      timeout client 30s
      timeout server 30s
      timeout check 5s
      option redispatch 1
    frontend gateway
      bind 127.0.0.1:${port}
      default_backend doorward
    backend doorward
      balance roundrobin
      option httpchk GET /health/ready
      default-server check inter 1s fall 2 rise 1
      ${addresses.map((address) => `server ${nameOf(address)} ${address}`).join('\n      ')}
    frontend stats
      bind 127.0.0.1:${statsPort}
      stats enable
      stats uri /
    `;
}

/** Without a colon, which names may not have. */
function nameOf(address: string): string {
  return address.replace(':', '_');
}

function folderWith(t: Teardown, name: string, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'doorward-proxy-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));
  writeFileSync(join(folder, name), `${text}\n`);
  return folder;
}
