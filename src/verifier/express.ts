import type { Door } from './door-rules.ts';
import type { DoorRequest, Doors, Passed } from './doors.ts';
import type { Refusal } from './refusal.ts';
import { type HeaderSource, headerValues } from './request-headers.ts';

export { userOf } from './user-of.ts';

/** A request of Express 4 or 5, or of `node:http`. */
type GuardedRequest = HeaderSource & {
  /** As the body parser left it, which must come first at a door with `matchEmail`. */
  body?: unknown;
  /** `unknown`, because passport declares a type of its own for it. See `userOf`. */
  user?: unknown;
};

/** A response of Express 4 or 5, or of `node:http`. */
type GuardedResponse = {
  readonly headersSent: boolean;
  writeHead(status: number, headers: Record<string, string>): unknown;
  end(body: string): unknown;
};

export type DoorMiddleware = (
  request: GuardedRequest,
  response: GuardedResponse,
  next: (error?: unknown) => void,
) => Promise<void>;

/**
 * Makes middleware of doors: `app.post('/buy', express.json(), door({ door: 'once', matchEmail: true }), buy)`.
 *
 * The claims of a request that passes are in `request.user`: `userOf(request)` gives them with their type. Other requests
 * are answered here. `next` gets an error only if it is unexpected. A `next` without parameters, which is possible without
 * Express, would ignore the error and let the request pass: then the promise rejects instead.
 * @returns a function that declares a door; it throws TypeError for a rule that makes no sense
 */
export function createDoorMiddleware(doors: Doors): (door: Door) => DoorMiddleware {
  return (door) => {
    const declared = doors.declare(door);
    return async (request, response, next) => {
      let answer: Passed | Refusal;
      try {
        answer = await doors.check(declared, doorRequestOf(request));
      } catch (error) {
        if (next.length === 0) throw error;
        return next(error);
      }
      if (!('user' in answer)) return send(response, answer);
      request.user = answer.user;
      next();
    };
  };
}

function doorRequestOf(request: GuardedRequest): DoorRequest {
  return {
    authorization: headerValues(request, 'authorization'),
    body: request.body,
    idempotencyKey: headerValues(request, 'idempotency-key')[0],
  };
}

function send(response: GuardedResponse, { status, headers, body }: Refusal): void {
  // Another middleware has answered already, for example a time limit. A second answer would throw.
  if (response.headersSent) return;
  response.writeHead(status, headers);
  response.end(body);
}
