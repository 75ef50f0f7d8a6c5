import { globSync, readFileSync } from 'node:fs';
import { test } from 'tap';

const sources = globSync('**/*.ts', { cwd: 'src' })
  .sort()
  .map((path) => ({ path, text: readFileSync(`src/${path}`, 'utf8') }));

/** What the pattern finds, as `file: text`. */
function find(pattern: RegExp): string[] {
  return sources.flatMap(({ path, text }) =>
    [...text.matchAll(pattern)].map(([found]) => `${path}: ${found}`),
  );
}

const ASK =
  'Does this make tokens void before their time? Then it must note so in the same transaction (db/revocation-log.ts). Add it here once that is decided.';

test('every statement that writes to rows which decide whether tokens hold is known here', (t) => {
  const writers = /\.(insert|update|delete)\((users|sessions|spentTokens|serviceClients|signingKeys)\)/g;
  t.strictSame(
    find(writers),
    [
      // A new account, which goes again if its address is reserved; a stronger hash of the same password.
      'accounts/account-store.ts: .insert(users)',
      'accounts/account-store.ts: .delete(users)',
      'accounts/account-store.ts: .update(users)',
      // When it will be deleted; that it will not; the deletion, for which `endAllIn` notes.
      'accounts/deletion-store.ts: .update(users)',
      'accounts/deletion-store.ts: .update(users)',
      'accounts/deletion-store.ts: .delete(users)',
      // Another address, and the password that goes when that is undone: `endAllIn` notes both.
      'accounts/email-change-store.ts: .update(users)',
      'accounts/email-change-store.ts: .update(users)',
      // A password that was found leaked still holds.
      'accounts/leak-store.ts: .update(users)',
      // Another password, an address that is verified by that, and what a stranger had put there: `endAllIn` notes.
      'accounts/password-store.ts: .update(users)',
      'accounts/password-store.ts: .update(users)',
      'accounts/password-store.ts: .update(users)',
      // What no token says.
      'accounts/profile-store.ts: .update(users)',
      // An address is verified: `claimsChanged` notes.
      'accounts/verification-store.ts: .update(users)',
      // Other roles, or one less: `claimsChanged` and `claimsOfManyChanged` note.
      'admin/role-holders-store.ts: .update(users)',
      'admin/role-holders-store.ts: .update(users)',
      // An operator makes an account, changes it (`claimsChanged` notes), bans it (`endAllIn` notes), ends a ban, and takes a
      // password away (`endAllIn` notes).
      'admin/users-store.ts: .insert(users)',
      'admin/users-store.ts: .update(users)',
      'admin/users-store.ts: .update(users)',
      'admin/users-store.ts: .update(users)',
      'admin/users-store.ts: .update(users)',
      // New accounts, some of which go again in the same transaction.
      'imports/import-store.ts: .insert(users)',
      'imports/import-store.ts: .delete(users)',
      // A key comes, signs, retires, is revoked (which is noted), is deleted after its last token, is encrypted anew.
      'keys/key-store.ts: .insert(signingKeys)',
      'keys/key-store.ts: .update(signingKeys)',
      'keys/key-store.ts: .update(signingKeys)',
      'keys/key-store.ts: .update(signingKeys)',
      'keys/key-store.ts: .delete(signingKeys)',
      'keys/key-store.ts: .update(signingKeys)',
      // A client comes, gets other credentials, other rights (noted), is enabled, is disabled (noted).
      'oauth/client-store.ts: .insert(serviceClients)',
      'oauth/client-store.ts: .update(serviceClients)',
      'oauth/client-store.ts: .update(serviceClients)',
      'oauth/client-store.ts: .update(serviceClients)',
      'oauth/client-store.ts: .update(serviceClients)',
      // Changed claims, and the end of sessions: both are noted.
      'sessions/session-end-store.ts: .update(users)',
      'sessions/session-end-store.ts: .update(sessions)',
      // A session starts, is swept after its end, is seen.
      'sessions/session-store.ts: .insert(sessions)',
      'sessions/session-store.ts: .delete(sessions)',
      'sessions/session-store.ts: .update(sessions)',
      // A token is redeemed, revoked (noted), an assertion used, and all of them swept.
      'tokens/token-status-store.ts: .insert(spentTokens)',
      'tokens/token-status-store.ts: .insert(spentTokens)',
      'tokens/token-status-store.ts: .insert(spentTokens)',
      'tokens/token-status-store.ts: .delete(spentTokens)',
    ],
    ASK,
  );
  t.strictSame(
    find(/(insert into|update|delete from) (users|sessions|spent_tokens|service_clients|signing_keys)\b/g),
    // A backup is restored, and all sessions in it end: also noted.
    ['adapters/restore-embedded.ts: update sessions'],
    ASK,
  );
  t.end();
});

test('a column that ends something is set at one place, and who calls that notes it', (t) => {
  const places: [what: string, pattern: RegExp, known: string[]][] = [
    ['a session ends', /endedAt: sql/g, ['sessions/session-end-store.ts: endedAt: sql']],
    ['claims change', /claimsVersion: sql/g, ['sessions/session-end-store.ts: claimsVersion: sql']],
    ['a token is revoked', /reason: 'revoked'/g, ["tokens/token-status-store.ts: reason: 'revoked'"]],
    ['a client is disabled', /disabledAt: sql/g, ['oauth/client-store.ts: disabledAt: sql']],
    ['a key is revoked', /\.set\(\{ revokedAt \}\)/g, ['keys/key-store.ts: .set({ revokedAt })']],
  ];
  for (const [what, pattern, known] of places) t.strictSame(find(pattern), known, `${what}: ${ASK}`);
  t.strictSame(
    find(/\bstore\.(end|makeRoom|changeClaims|changeClaimsOfMany|revoke|update|disable)\(/g),
    [
      'keys/key-rotator.ts: store.revoke(',
      'oauth/client-commands.ts: store.update(',
      'oauth/client-commands.ts: store.disable(',
      'sessions/session-ends.ts: store.end(',
      'sessions/session-ends.ts: store.changeClaims(',
      'sessions/session-ends.ts: store.changeClaimsOfMany(',
      'sessions/session-service.ts: store.makeRoom(',
      'tokens/token-status-service.ts: store.revoke(',
    ],
    ASK,
  );
  t.strictSame(
    find(
      /\brevocations\.(sessionsEnded|claimsChanged|claimsOfManyChanged|tokenRevoked|clientChanged|keyRevoked)\(|\bends\.tell\(/g,
    ),
    [
      'keys/key-rotator.ts: revocations.keyRevoked(',
      'oauth/client-commands.ts: revocations.clientChanged(',
      'sessions/session-ends.ts: revocations.sessionsEnded(',
      'sessions/session-ends.ts: revocations.claimsChanged(',
      'sessions/session-ends.ts: revocations.claimsOfManyChanged(',
      'sessions/session-service.ts: ends.tell(',
      'tokens/token-status-service.ts: revocations.tokenRevoked(',
    ],
    'one note for each of these; the commands for clients share one',
  );
  t.end();
});
