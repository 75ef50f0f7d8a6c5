/** The parts of a browser that are used here. A server that renders pages has none of them. */
export type Address = {
  location?: { hash: string; pathname: string; search: string };
  history: { state: unknown; replaceState(state: unknown, unused: string, url: string): void };
};

/**
 * The code of a mail's link: `https://app.example.com/reset#code=…`. It is taken out of the address, so that it stays in
 * no history and on no screen. Call it when the page opens. That uses nothing up: send the code when the user clicks,
 * because mail scanners open links too.
 * @param page the browser; tests pass their own
 * @returns null if there is none
 */
export function codeFromLink(page = globalThis as unknown as Address): string | null {
  const { location, history } = page;
  const code = new URLSearchParams(location?.hash.slice(1)).get('code');
  if (location && code) history.replaceState(history.state, '', location.pathname + location.search);
  return code || null;
}
