import { ada, answer, authUrl, newToken, problem, type Sent, tokenAnswer } from './fake-page.ts';

/** The answers of the server's account routes, by call, with one cookie that the browser of the test holds. */
export function createContractServer() {
  const user = { ...ada, created_at: '2026-01-02T03:04:05.000Z' };
  const profile = {
    ...user,
    ...{ display_name: null, locale: null, metadata: {}, password_leaked: false, deletion_due_at: null },
  };
  let isSignedIn = false;
  let refusal: Response | null = null;
  let isDeletionDelayed = false;
  const accepted = (body: object = {}) => answer(202, body);
  const signsIn = () => {
    isSignedIn = true;
    return answer(200, { user });
  };
  const signsOut = (response: Response) => {
    isSignedIn = false;
    return response;
  };
  const routes: Record<string, () => Response> = {
    'POST /token': () => (isSignedIn ? tokenAnswer(newToken(user)) : problem(404, 'session_not_found')),
    'POST /login': signsIn,
    'POST /password/forgot': () => accepted({ status: 'mail_sent_if_known' }),
    'POST /password/reset': signsIn,
    'POST /email/verify': signsIn,
    'POST /email/verify/send': accepted,
    'POST /password/change': signsIn,
    'POST /email/change': accepted,
    'POST /email/change/confirm': () => {
      user.email = 'new@example.com';
      return signsIn();
    },
    'POST /email/change/undo': () => signsOut(answer(200, { status: 'undone' })),
    'POST /sessions/disown': () => signsOut(answer(204, null)),
    'GET /me': () => answer(200, { user: profile }),
    'PATCH /me': () => answer(200, { user: { ...profile, display_name: 'Ada' } }),
    'DELETE /me': () =>
      signsOut(isDeletionDelayed ? accepted({ deletion_due_at: profile.created_at }) : answer(204, null)),
    'POST /me/undo-deletion': () => answer(200, { status: 'undone' }),
    'GET /me/export': () => answer(200, { schema_version: 1, user: profile }),
  };
  return {
    user,
    profile,
    refuse: (response: Response | null) => {
      refusal = response;
    },
    delayDeletion: () => {
      isDeletionDelayed = true;
    },
    respond: ({ method, url }: Sent): Response => {
      const call = `${method} ${url.slice(authUrl.length)}`;
      if (refusal && call !== 'POST /token') return refusal;
      return routes[call]?.() ?? problem(404, 'not_found');
    },
  };
}
