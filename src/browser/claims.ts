/** Who is signed in, as far as the page needs to know. Services go by the verified token and never by this. */
export type User = { id: string; email: string; email_verified: boolean };

/** The user whom an access token is about. Not verified: the page has it from the server itself. @throws on nonsense */
export function userOf(accessToken: string): User {
  const payload = (accessToken.split('.')[1] as string).replaceAll('-', '+').replaceAll('_', '/');
  const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
  const { sub, email, email_verified } = JSON.parse(new TextDecoder().decode(bytes));
  return { id: sub, email, email_verified };
}
