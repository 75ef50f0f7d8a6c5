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

// Not `request.user`: @fastify/jwt declares it too, and a service that has both would not compile. See `userOf`.
declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call this route. */
    door?: Door;
  }
}

export { userOf } from './user-of.ts';

export type DoorwardFastifyOptions = DoorsOptions & {
  /** The door of routes that declare none: `verified`, so that a forgotten route is not open. */
  default?: Door;
  /** Whether the service refuses to start when `checkSetup` of the doors finds a problem; false by default. */
  checkAtStart?: boolean;
};

/** The parts of Fastify that are used here, so that this module does not depend on its types. */
type Host = {
  decorateRequest(name: string, value: null): unknown;
  addHook(name: 'onRoute', hook: (route: { config?: { door?: Door } }) => void): unknown;
  addHook(name: 'onRequest' | 'preHandler', hook: RequestHook): unknown;
  addHook(name: 'onReady' | 'onClose', hook: () => Promise<void>): unknown;
};
type RequestHook = (request: DoorwardRequest, reply: Reply) => Promise<unknown>;
type DoorwardRequest = {
  raw: HeaderSource;
  body: unknown;
  is404: boolean;
  routeOptions: { config: { door?: Door } };
  /** `unknown`, because other plugins declare types of their own for it. */
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
 * A token is checked before the body is read. Rules that need the body (`matchEmail`) or cannot be undone (`once`) come
 * right before the handler, so that a request whose body is refused redeems no token.
 */
export async function doorwardFastify(app: Host, options: DoorwardFastifyOptions): Promise<void> {
  const { default: fallback = 'verified', checkAtStart = false } = options;
  const doors = createDoors(options);
  const find = createDoorFinder(doors, fallback);
  app.addHook('onClose', () => doors.close());
  if (checkAtStart) app.addHook('onReady', () => checkOrClose(doors));

  // Throws if it is registered twice in one scope: each token would be redeemed twice.
  app.decorateRequest('doorwardVisit', null);
  // A door that makes no sense throws when its route is declared, not at the first request.
  app.addHook('onRoute', ({ config }) => void find(config?.door));

  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) return undefined;
    // Here, and not as a decorator: @fastify/jwt makes that one, and throws if it is there already.
    request.user = null;
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

/** Fastify runs no `onClose` when a start fails, and an open feed keeps a process alive that is to end. */
async function checkOrClose(doors: Doors): Promise<void> {
  try {
    await doors.checkSetup();
  } catch (error) {
    await doors.close();
    throw error;
  }
}

// Its hooks apply to the scope that registers it, as with the package fastify-plugin.
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
