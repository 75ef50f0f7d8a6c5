import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { Started } from './programs.ts';

type Service = {
  image?: string;
  build?: unknown;
  command?: string | string[];
  environment?: Record<string, string | number | null> | string[];
  healthcheck?: { test?: string | string[] };
  ports?: (string | { target: number })[];
  stop_grace_period?: string;
};

/** A service of docker-compose.yml, with its name and what compose itself does with it. */
export type ComposeService = Started & {
  name: string;
  healthcheck: string;
  ports: number[];
  graceSeconds: number;
};

/** All services of a text of compose. */
export function servicesOf(text: string): ComposeService[] {
  const { services } = parse(text, { merge: true }) as { services: Record<string, Service> };
  return Object.entries(services).map(([name, service]) => ({
    name,
    image: service.image ?? '',
    command: wordsOf(service.command),
    environment: toEnvironment(service.environment ?? {}),
    healthcheck: wordsOf(service.healthcheck?.test).join(' '),
    ports: (service.ports ?? []).map((port) =>
      typeof port === 'string' ? Number(port.split(':').at(-1)) : port.target,
    ),
    // Compose's own default is ten seconds.
    graceSeconds: Number.parseInt(service.stop_grace_period ?? '10s', 10),
  }));
}

export const composeServices = servicesOf(readFileSync('docker-compose.yml', 'utf8'));

function wordsOf(command: string | string[] = []): string[] {
  return typeof command === 'string' ? command.split(' ') : command.map(String);
}

function toEnvironment(environment: NonNullable<Service['environment']>): Record<string, string> {
  const pairs = Array.isArray(environment)
    ? environment.map((line) => [line.replace(/=.*/s, ''), line.replace(/^[^=]*=?/, '')])
    : Object.entries(environment).map(([name, value]) => [name, String(value ?? '')]);
  return Object.fromEntries(pairs);
}
