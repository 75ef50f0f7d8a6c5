import { isLoopbackHost } from '../core/loopback.ts';
import { normalAddress } from '../http/client-address.ts';
import { createProxyTrust } from '../http/trusted-proxies.ts';

/** What a request looked like when it arrived. */
export type ArrivedRequest = {
  /** The address that opened the connection. */
  peer: string;
  /** The headers as they arrived, trusted or not. */
  forwardedFor: string | undefined;
  forwardedProto: string | undefined;
  forwardedHost: string | undefined;
  host: string | undefined;
  path: string;
  /** How the server reads them. */
  clientAddress: string;
  scheme: string;
  publicHost: string;
};

/** The settings that describe the server's surroundings. */
export type GatewaySettings = {
  publicUrl: string;
  pathPrefix: string;
  trustedProxies: string[];
  cookie: { name: string; secure: boolean; domain: string | undefined };
};

/** For operators: what arrived, what the server trusted, and the result. */
export type GatewayReport = {
  /** From the connection outwards. */
  chain: { address: string; trusted: boolean }[];
  client_address: string;
  scheme: string;
  host: string;
  path: string;
  path_prefix: string;
  public_url: string;
  headers: {
    host: string | null;
    x_forwarded_for: string | null;
    x_forwarded_proto: string | null;
    x_forwarded_host: string | null;
  };
  cookie: { name: string; sticks: boolean };
  /** What to fix; empty if all is well. */
  problems: string[];
};

/** Reports how the server reads a request that came through the gateway. */
export function reportOnGateway(request: ArrivedRequest, settings: GatewaySettings): GatewayReport {
  const chain = chainOf(request, settings.trustedProxies);
  const sticks = cookieSticks(request, settings.cookie);
  return {
    chain,
    client_address: request.clientAddress,
    scheme: request.scheme,
    host: request.publicHost,
    path: request.path,
    path_prefix: settings.pathPrefix,
    public_url: settings.publicUrl,
    headers: {
      host: request.host ?? null,
      x_forwarded_for: request.forwardedFor ?? null,
      x_forwarded_proto: request.forwardedProto ?? null,
      x_forwarded_host: request.forwardedHost ?? null,
    },
    cookie: { name: settings.cookie.name, sticks },
    problems: [
      ...chainProblems(request, chain),
      ...addressProblems(request, settings),
      ...(sticks ? [] : [cookieProblem(request, settings.cookie)]),
    ],
  };
}

function chainOf({ peer, forwardedFor }: ArrivedRequest, trustedProxies: string[]): GatewayReport['chain'] {
  const isTrusted = createProxyTrust(trustedProxies);
  const told = (forwardedFor ?? '')
    .split(',')
    .map((address) => address.trim())
    .filter((address) => address !== '');
  // Any client may have written the addresses beyond the first one that is not trusted.
  let believed = true;
  return [peer, ...told.reverse()].map(normalAddress).map((address) => {
    believed &&= isTrusted(address);
    return { address, trusted: believed };
  });
}

function chainProblems({ forwardedFor }: ArrivedRequest, chain: GatewayReport['chain']): string[] {
  const [peer] = chain;
  if (forwardedFor !== undefined && peer?.trusted === false)
    return [
      `${peer.address} sent X-Forwarded-For and is not in TRUSTED_PROXIES, so all its clients share its address and its limits: if it is your gateway, add it`,
    ];
  if (peer?.trusted === true && forwardedFor === undefined)
    return [`${peer.address} is trusted, and sent no X-Forwarded-For: make the gateway set it`];
  if (chain.every(({ trusted }) => trusted))
    return [
      'every address is in TRUSTED_PROXIES, so the address of the client is unknown: list only the proxies',
    ];
  return [];
}

function addressProblems({ scheme, publicHost }: ArrivedRequest, { publicUrl }: GatewaySettings): string[] {
  const { protocol, host } = new URL(publicUrl);
  const problems: string[] = [];
  if (`${scheme}:` !== protocol)
    problems.push(
      `the request came by ${scheme}, and PUBLIC_URL says ${protocol.slice(0, -1)}: make the gateway set X-Forwarded-Proto, and list it in TRUSTED_PROXIES`,
    );
  if (publicHost !== host)
    problems.push(
      `the request was for ${publicHost}, and PUBLIC_URL says ${host}: make the gateway pass the Host header on`,
    );
  return problems;
}

type CookieSettings = GatewaySettings['cookie'];

/**
 * Whether a browser keeps the session cookie (RFC 6265bis §5.7): a Secure one only over https or on localhost, and only
 * for the browser's own domain.
 */
function cookieSticks({ scheme, publicHost }: ArrivedRequest, { secure, domain }: CookieSettings): boolean {
  return (
    (!secure || scheme === 'https' || isLoopbackHost(hostNameOf(publicHost))) && isWithin(publicHost, domain)
  );
}

function cookieProblem(request: ArrivedRequest, { name, domain }: CookieSettings): string {
  return isWithin(request.publicHost, domain)
    ? `a browser keeps no Secure cookie that comes by ${request.scheme}: ${name} is lost`
    : `a browser on ${request.publicHost} keeps no cookie for COOKIE_DOMAIN=${domain}: ${name} is lost`;
}

function hostNameOf(host: string): string {
  return URL.parse(`http://${host}`)?.hostname ?? '';
}

function isWithin(host: string, domain: string | undefined): boolean {
  const name = hostNameOf(host);
  return domain === undefined || name === domain || name.endsWith(`.${domain}`);
}
