/** By what an error is known, and what to say of it: what is wrong, and what an operator can do. The first match counts. */
export type Explanations = [sign: RegExp, text: string][];

/** @returns undefined for an error that is not known */
export function explanationOf(explanations: Explanations, error: string): string | undefined {
  return explanations.find(([sign]) => sign.test(error))?.[1];
}

/** Servers as in a URL, with brackets around an IPv6 address. */
export function addressesOf(servers: { host: string; port: number }[]): string {
  return servers.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`).join(', ');
}
