import type { Door } from './door-rules.ts';
import {
  createDoors,
  type DeclaredDoor,
  type Doors,
  type DoorsOptions,
  type Passed,
  type Visit,
} from './doors.ts';
import type { Refusal } from './refusal.ts';
import { type HeaderSource, headerValues } from './request-headers.ts';
import type { TokenClaims } from './token-claims.ts';

// Not `request.user`: @fastify/jwt declares it too, and a service that has both would not compile. See `userOf`.
declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call this route. */
    door?: Door;
  }
}

export type DoorwardFastifyOptions = DoorsOptions & {
  /** The door of routes that declare none: `verified`, so that a forgotten one is shut. */
  default?: Door;
};

/** As much of Fastify as is used here, so that this module needs none of its types. */
type Host = {
  decorateRequest(name: string, value: null): unknown;
  hasRequestDecorator(name: string): boolean;
  addHook(name: 'onRoute', hook: (route: { config?: { door?: Door } }) => void): unknown;
  addHook(name: 'onRequest' | 'preHandler', hook: RequestHook): unknown;
};
type RequestHook = (request: DoorwardRequest, reply: Reply) => Promise<unknown>;
type DoorwardRequest = {
  raw: HeaderSource;
  body: unknown;
  is404: boolean;
  routeOptions: { config: { door?: Door } };
  /** Unknown, for other plugins have types of their own for it. */
  user?: unknown;
  doorwardVisit?: Visit | null;
};
type Reply = {
  code(status: number): Reply;
  headers(headers: Record<string, string>): Reply;
  send(body: string): Reply;
};

/**
 * Guards every route that is declared after it in its scope: `{ config: { door: 'verified' } }`.
 *
 * A token is checked before the body is read. What needs the body (`matchEmail`), or cannot be taken back (`once`),
 * comes right before the handler, so that a request whose body is refused redeems nothing.
 */
export async function doorwardFastify(app: Host, options: DoorwardFastifyOptions): Promise<void> {
  const { default: fallback = 'verified' } = options;
  const find = createDoorFinder(createDoors(options), fallback);

  // Throws for a second registration in one scope, which would redeem each token twice.
  app.decorateRequest('doorwardVisit', null);
  if (!app.hasRequestDecorator('user')) app.decorateRequest('user', null);
  // A door that makes no sense is told of at the start, where it is declared.
  app.addHook('onRoute', ({ config }) => void find(config?.door));

  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) return undefined;
    const door = find(request.routeOptions.config.door);
    const entered = await door.enter(headerValues(request.raw, 'authorization'));
    if (!('visit' in entered)) return send(reply, entered);
    if (entered.visit === null) return undefined;
    if (!isLate(door)) return finish(door, entered.visit, request, reply);
    request.doorwardVisit = entered.visit;
    return undefined;
  });

  app.addHook('preHandler', async (request, reply) => {
    const visit = request.doorwardVisit;
    if (visit) return finish(find(request.routeOptions.config.door), visit, request, reply);
    return undefined;
  });
}

/** `request.user`, typed: who passed the route's door; null at an open one for somebody unknown. */
export function userOf(request: object): TokenClaims | null {
  return (request as { user?: TokenClaims | null }).user ?? null;
}

// Its hooks are for the scope that registers it: what the package fastify-plugin would say.
Object.assign(doorwardFastify, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'doorward',
});

/** Each rule is read once, when its first route is declared. */
function createDoorFinder(doors: Doors, fallback: Door): (door?: Door) => DeclaredDoor {
  const declared = new Map<Door, DeclaredDoor>();
  return (door = fallback) => {
    const found = declared.get(door) ?? doors.declare(door);
    declared.set(door, found);
    return found;
  };
}

function isLate({ needs }: DeclaredDoor): boolean {
  return needs.body || needs.redemption;
}

async function finish(
  door: DeclaredDoor,
  visit: Visit,
  request: DoorwardRequest,
  reply: Reply,
): Promise<unknown> {
  const [idempotencyKey] = headerValues(request.raw, 'idempotency-key');
  const answer: Passed | Refusal = await door.finish(visit, { body: request.body, idempotencyKey });
  if (!('user' in answer)) return send(reply, answer);
  request.user = answer.user;
  return undefined;
}

function send(reply: Reply, { status, headers, body }: Refusal): Reply {
  return reply.code(status).headers(headers).send(body);
}
