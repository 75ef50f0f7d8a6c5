/** A call that failed. The message is a sentence for people. */
export class CallError extends Error {
  /** @param {string} message @param {{ status?: number, code?: string }} [answer] */
  constructor(message, { status = 0, code = 'unavailable' } = {}) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * @typedef {Record<string, string | number | null | undefined>} Query
 * @typedef {{ query?: Query, body?: object }} Request
 * @typedef {{ code?: string, title?: string, detail?: string, errors?: { path: string, message: string }[] }} Problem
 * @typedef {ReturnType<typeof createApi>} Api
 */

const MOST_TRIES = 4;
const LONGEST_WAIT_SECONDS = 10;

/**
 * The admin API. Reads are repeated while the server is busy, and so is what it refused before it did anything. An act that
 * needs a fresh sign-in is repeated after one.
 *
 * @param {object} parts
 * @param {typeof globalThis.fetch} parts.fetch adds the access token
 * @param {string} parts.base path of the server
 * @param {(maxAgeSeconds: number) => Promise<boolean>} parts.signInAgain false: the person does not want to
 * @param {(text: string) => void} parts.announce
 */
export function createApi({ fetch, base, signInAgain, announce }) {
  return {
    /** @param {string} path @param {Query} [query] */
    get: (path, query = {}) => call('GET', path, { query }),
    /** @param {string} path @param {object} [body] */
    post: (path, body) => call('POST', path, body ? { body } : {}),
    /** @param {string} path @param {object} body */
    patch: (path, body) => call('PATCH', path, { body }),
    /** @param {string} path */
    remove: (path) => call('DELETE', path, {}),
  };

  /**
   * @param {string} method @param {string} path @param {Request} request
   * @returns {Promise<any>} the answer's JSON, null for 204
   */
  async function call(method, path, request) {
    let isFresh = false;
    for (let tries = 1; ; tries += 1) {
      const response = await send(method, path, request);
      if (response.ok) return response.status === 204 ? null : response.json();
      const problem = await problemOf(response);
      if (problem.code === 'insufficient_user_authentication' && !isFresh) {
        if (!(await signInAgain(maxAgeOf(response))))
          throw new CallError('Nothing was changed: this needs a fresh sign-in.');
        isFresh = true;
      } else if (isWorthRepeating(method, response, problem) && tries < MOST_TRIES) {
        announce('The server is busy: trying again…');
        await pause(response);
      } else
        throw new CallError(sentenceOf(response, problem, scopeOf(method, path)), {
          status: response.status,
          ...problem,
        });
    }
  }

  /** @param {string} method @param {string} path @param {Request} request */
  async function send(method, path, { query = {}, body }) {
    const given = Object.entries(query).filter(([, value]) => value !== '' && value != null);
    const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    const init = body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    try {
      return await fetch(`${base}/admin${path}${search && `?${search}`}`, { method, ...init });
    } catch {
      throw new CallError('The server does not answer. Look whether the network works, and try again.');
    }
  }
}

/** @param {Response} response @returns {Promise<Problem>} */
async function problemOf(response) {
  if (!response.headers.get('content-type')?.includes('problem+json')) return {};
  return response.json().catch(() => ({}));
}

/** @param {string} method @param {Response} response @param {Problem} problem */
function isWorthRepeating(method, { status }, { code }) {
  return status === 503 && (method === 'GET' || code === 'overloaded');
}

/** @param {Response} response */
function pause({ headers }) {
  const seconds = Math.min(Number(headers.get('retry-after')) || 1, LONGEST_WAIT_SECONDS);
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

/** RFC 9470. @param {Response} response */
function maxAgeOf(response) {
  return Number(/max_age="?(\d+)/.exec(response.headers.get('www-authenticate') ?? '')?.[1] ?? 900);
}

/** @param {Response} response @param {Problem} problem @param {string} scope that the call needs */
function sentenceOf({ status, headers }, { code, title, detail, errors }, scope) {
  if (code === 'insufficient_scope') return missingScope(scope);
  if (status === 429)
    return `Too many requests: try again in ${headers.get('retry-after') ?? 'a few'} seconds.`;
  if (status === 503) return 'The server cannot say right now whether that worked. Try again in a moment.';
  const wrong = (errors ?? []).map(({ path, message }) => `${path.slice(1).replaceAll('/', ' ')} ${message}`);
  if (wrong.length > 0) return `${wrong.join('. ')}.`;
  return detail ?? title ?? `The server gave an answer that makes no sense (${status}).`;
}

/** @param {string} method @param {string} path of the call */
function scopeOf(method, path) {
  if (path.startsWith('/sessions') || path.endsWith('/sessions')) return 'admin:sessions';
  if (path.startsWith('/audit')) return 'admin:audit';
  if (path.startsWith('/clients')) return 'admin:clients';
  if (/^\/(users|roles|stats)/.test(path)) return method === 'GET' ? 'admin:users:read' : 'admin:users:write';
  return 'admin:keys';
}

/** @param {string} scope */
export function missingScope(scope) {
  return `This needs the scope ${scope}, which none of your roles has. Whoever runs the server grants a role with it: doorward users grant ADDRESS ROLE`;
}
