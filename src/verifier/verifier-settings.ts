import { type Fetch, secureUrl } from './fetch-document.ts';
import { createWarner, type VerifierHooks, type Warn, type WarningLogger } from './hooks.ts';

export type RevocationMode = 'stream' | 'poll';

export type VerifierOptions = {
  /** `PUBLIC_URL` of the auth server, exactly as tokens say it in `iss`. */
  issuer: string;
  /** This service's own name among `AUDIENCES`; a token must name it, or one of several. */
  audience: string | string[];
  /** URL of the key set; by default it comes from the issuer's metadata. */
  jwksUri?: string;
  /**
   * How this service learns of sign-outs, where the auth server has a feed of them: from a `stream` (the default), which
   * becomes a `poll` each 2 s where streams do not get through; from a `poll` alone; or, with `false`, not at all.
   */
  revocations?: RevocationMode | false;
  /** URL of that feed; by default it comes from the issuer's metadata, or is beside `jwksUri`. */
  revocationsUri?: string;
  /** ES256, EdDSA and RS256 by default. */
  algorithms?: string[];
  /** How far the clocks may be apart; 60 at most, 5 by default. */
  leewaySeconds?: number;
  /** For each request to the auth server; 2 s by default. */
  timeoutMs?: number;
  /** Between two fetches for unknown keys; 30 s by default. */
  cooldownMs?: number;
  /** How long keys are kept before they are fetched again, whatever `max-age` says; 10 min by default and at most. */
  cacheMaxAgeMs?: number;
  /** How long known keys are used while the auth server does not answer; 24 h by default. */
  staleForMs?: number;
  /** Allows plain http to other machines. Only for a network that no one else can reach. */
  allowInsecure?: boolean;
  fetch?: Fetch;
  /** Milliseconds since the epoch; for the times in tokens. */
  now?: () => number;
  /** Milliseconds on a clock that is never set; for everything that lasts. `performance.now` by default. */
  steadyNow?: () => number;
  on?: VerifierHooks;
  /** Where warnings about the settings and the auth server go; `console` by default, and `false` for nowhere. */
  logger?: WarningLogger | false;
};

/** How the auth server, the clocks and the log are reached: shared by key fetching and introspection. */
export type VerifierSettings = {
  issuer: string;
  audiences: string[];
  leewaySeconds: number;
  timeoutMs: number;
  allowInsecure: boolean;
  revocations: RevocationMode | false;
  fetch: Fetch;
  now: () => number;
  steadyNow: () => number;
  on: VerifierHooks;
  warn: Warn;
};

/**
 * The options with their defaults.
 * @throws TypeError for an issuer that cannot be trusted, or no audience
 */
export function settingsOf(options: VerifierOptions): VerifierSettings {
  const { issuer, allowInsecure = false, timeoutMs = 2000, leewaySeconds = 5, now = Date.now } = options;
  const { steadyNow = () => performance.now(), on = {}, logger = console } = options;
  return {
    issuer: secureUrl(issuer, 'issuer', allowInsecure),
    audiences: audiencesOf(options),
    leewaySeconds,
    timeoutMs,
    allowInsecure,
    revocations: options.revocations ?? 'stream',
    // Read at each call, because tools that instrument or mock `fetch` may replace it later.
    fetch: options.fetch ?? ((url, init) => globalThis.fetch(url, init)),
    now,
    steadyNow,
    on,
    warn: createWarner(on, logger, steadyNow),
  };
}

/** A service in JavaScript may leave it out. @throws TypeError */
function audiencesOf({ audience }: { audience?: string | string[] }): string[] {
  const audiences = [audience ?? []].flat();
  if (audiences.length > 0 && audiences.every((name) => typeof name === 'string' && name !== ''))
    return audiences;
  throw new TypeError(
    "audience is missing: set it to the name of this service in AUDIENCES of the auth server, for example createVerifier({ issuer: 'https://auth.example.com', audience: 'payments' })",
  );
}
