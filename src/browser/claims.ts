/** The signed-in user, for display. A service must use the verified token, never this. */
export type User = { id: string; email: string; email_verified: boolean };

/** The user of an access token. Not verified: it comes directly from the server. @throws if it is not a JWT */
export function userOf(accessToken: string): User {
  const payload = (accessToken.split('.')[1] as string).replaceAll('-', '+').replaceAll('_', '/');
  const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
  const { sub, email, email_verified } = JSON.parse(new TextDecoder().decode(bytes));
  return { id: sub, email, email_verified };
}
