import { fetchDocument, objectOf, secureUrl } from './fetch-document.ts';
import { tell } from './hooks.ts';
import { printable, SetupFault } from './setup-error.ts';
import { about, shownUrl } from './source.ts';
import type { VerifierSettings } from './verifier-settings.ts';

const NAME = 'oauth-authorization-server';
const JWKS_PATH = '/.well-known/jwks.json';
/** `Date` has whole seconds, and the answer takes a moment. */
const DATE_TOLERANCE_SECONDS = 2;
/** What is said of the metadata where the keys are kept apart from the auth server, as at a CDN. */
const ELSEWHERE = ['refused', 'redirect', 'content', 'issuer'].map((kind) => `metadata ${kind}`);

/** What is known of a feed before it is looked for. */
export type Expectation = {
  /** The options name it. */
  isAskedFor: boolean;
  /** It has been found before. */
  wasThere: boolean;
};

/**
 * Finds the address of the key set in the issuer's metadata (RFC 8414 §3).
 *
 * The document is fetched below the issuer's own path, where Doorward serves it even behind a gateway's prefix.
 * @throws SetupFault when it cannot be fetched, or belongs to another issuer (§3.3)
 */
export async function discoverJwksUri(settings: VerifierSettings): Promise<string> {
  const url = metadataUrl(settings.issuer);
  const { metadata } = await fetchMetadata(settings, url);
  return addressIn(metadata, 'jwks_uri', settings, 'jwksUri');
}

/**
 * Finds the address of the revocation feed in the same way; null if the auth server has none.
 *
 * With `jwksUri` the metadata beside it tells whether there is a feed. This service may not reach the address in there, so
 * the feed is then looked for beside the keys as well, where Doorward has it; and no metadata there means no feed, unless
 * there was one.
 * @throws SetupFault when that cannot be known
 */
export async function discoverRevocationsUri(
  settings: VerifierSettings,
  jwksUri: string | undefined,
  expectation: Expectation,
): Promise<string | null> {
  if (jwksUri === undefined) {
    const { metadata } = await fetchMetadata(settings, metadataUrl(settings.issuer));
    if (metadata.revocations_uri === undefined) return null;
    return addressIn(metadata, 'revocations_uri', settings, 'revocationsUri');
  }
  try {
    const { metadata } = await fetchMetadata(settings, new URL(NAME, jwksUri).href);
    if (metadata.revocations_uri === undefined) return null;
  } catch (error) {
    if (meansNone(error as SetupFault, expectation)) return null;
    throw error;
  }
  if (jwksUri.endsWith(JWKS_PATH)) return new URL('../revocations', jwksUri).href;
  throw new SetupFault(
    'revocation feed address',
    'The auth server has a revocation feed, but jwksUri does not tell where: set revocationsUri',
  );
}

/** A feed that was there still is, behind something that is broken. Who asks for one is to know what is in its way. */
function meansNone({ kind }: SetupFault, { isAskedFor, wasThere }: Expectation): boolean {
  if (wasThere) return false;
  return kind === 'metadata missing' || (!isAskedFor && ELSEWHERE.includes(kind));
}

/** @throws SetupFault for an address that cannot be trusted */
function addressIn(
  metadata: Record<string, unknown>,
  member: string,
  settings: VerifierSettings,
  option: string,
): string {
  try {
    return trustedAddress(metadata[member], member, settings);
  } catch (error) {
    const { message } = error as TypeError;
    throw new SetupFault(
      'metadata address',
      `The metadata at ${metadataUrl(settings.issuer)} is not usable, because its ${message}: check PUBLIC_URL of the auth server, or set ${option}`,
    );
  }
}

/** @throws TypeError */
function trustedAddress(uri: unknown, member: string, { issuer, allowInsecure }: VerifierSettings): string {
  // Plain http only if the issuer uses it too: otherwise the document could point to a service on this host.
  if (issuer.startsWith('https:') && !String(uri).startsWith('https:'))
    throw new TypeError(`${member} must be https, as the issuer is`);
  return secureUrl(String(uri), member, allowInsecure);
}

/**
 * Makes sure that the metadata is that of the issuer, and that the clocks agree.
 * @param jwksUri where the keys are configured: the metadata is then read beside them
 * @throws SetupFault
 */
export async function checkMetadata(settings: VerifierSettings, jwksUri?: string): Promise<void> {
  const url = jwksUri === undefined ? metadataUrl(settings.issuer) : new URL(NAME, jwksUri).href;
  const { headers } = await fetchMetadata(settings, url);
  const fault = clockFault(headers, settings);
  if (fault) throw fault;
}

function metadataUrl(issuer: string): string {
  return `${issuer.replace(/\/$/, '')}/.well-known/${NAME}`;
}

/** @throws SetupFault when it cannot be fetched, or is of another issuer */
async function fetchMetadata(settings: VerifierSettings, url: string) {
  const { issuer, fetch, timeoutMs, steadyNow, on } = settings;
  const cure =
    'set issuer to PUBLIC_URL of the auth server, letter for letter, and jwksUri if this service reaches it by another address';
  return about({ name: 'metadata', url, cure }, async () => {
    const startedAt = steadyNow();
    const document = await fetchDocument(fetch, url, timeoutMs, { headers: { accept: 'application/json' } });
    tell(on.fetched, steadyNow() - startedAt, document.status);
    const metadata = objectOf(document);
    if (metadata.issuer === issuer) return { metadata, headers: document.headers };
    throw new SetupFault(
      'metadata issuer',
      `The metadata at ${shownUrl(url)} is of the issuer ${printable(String(metadata.issuer))}, not ${issuer}: set issuer to PUBLIC_URL of the auth server, letter for letter`,
    );
  });
}

/** The difference between this host's clock and the server's, by its `Date` (RFC 9110 §6.6.1), if it matters. */
export function clockFault(
  headers: Headers,
  { now, leewaySeconds }: Pick<VerifierSettings, 'now' | 'leewaySeconds'>,
): SetupFault | null {
  const ageMs = (Number(headers.get('age')) || 0) * 1000;
  const aheadSeconds = Math.round((now() - ageMs - Date.parse(headers.get('date') ?? '')) / 1000);
  // Without a date this is NaN, and nothing is known.
  if (!(Math.abs(aheadSeconds) > leewaySeconds + DATE_TOLERANCE_SECONDS)) return null;
  const difference = `${Math.abs(aheadSeconds)} s ${aheadSeconds > 0 ? 'ahead of' : 'behind'}`;
  return new SetupFault(
    'clock',
    `The clock of this host is ${difference} that of the auth server: set both by NTP`,
  );
}
