import type { Page, Route } from 'playwright-core';

/** Fits a fixed clock, so that pictures of the console stay the same. */
const NOW = Date.parse('2026-11-20T15:30:00Z');
const HOUR_MS = 3_600_000;
const ago = (hours: number) => new Date(NOW - hours * HOUR_MS).toISOString();

const CHROME =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36';
/** As a stranger could name themselves, or their browser. */
export const MARKUP = '<img src=x onerror="document.title=\'owned\'"><b>bold</b>';

const PEOPLE = [
  ['ada@example.com', 'Ada Lovelace', { roles: ['admin'], metadata: { plan: 'gold', seats: 3 } }],
  ['grace@example.com', 'Grace Hopper', { roles: ['support'] }],
  ['katherine@example.com', 'Katherine Johnson', { email_verified: false, email_verified_at: null }],
  [
    'mallory@example.com',
    MARKUP,
    { status: 'banned', banned_at: ago(5), banned_until: ago(-72), ban_reason: 'Sold one lamp four times' },
  ],
  ['mary@example.com', 'Mary Jackson', {}],
  ['dorothy@example.com', null, { deletion_due_at: ago(-200), has_password: false }],
  ['annie@example.com', 'Annie Easley', { external_id: 'auth0|5f7c8ec7' }],
  [`${'long'.repeat(14)}@${'sub.'.repeat(12)}example.com`, 'A'.repeat(100), {}],
] as const;

const users = PEOPLE.map(([email, display_name, more], index) => ({
  ...{ id: `01994b0${index}-aaaa-7bbb-8ccc-0000000${10_041 + index}`, email, email_as_typed: email },
  ...{ email_verified: true, email_verified_at: ago(index * 20 + 1), display_name, locale: 'en' },
  ...{ metadata: {}, roles: [], status: 'active', banned_at: null, banned_until: null, ban_reason: null },
  ...{ has_password: true, external_id: null, created_at: ago(index * 30 + 2), updated_at: ago(index) },
  ...{ deletion_due_at: null, ...more },
}));

export const mallory = users[3] as (typeof users)[number];

const session = (id: string, hours: number, user_agent: string | null) => ({
  ...{ id, user_id: mallory.id, created_at: ago(hours * 40), last_seen_at: ago(hours) },
  ...{ authenticated_at: ago(hours * 40), expires_at: ago(-300), ip: `2001:db8::${id}`, user_agent },
  amr: ['pwd'],
});

const KINDS = [
  ...['session.started', 'account.banned', 'sign_in.failed', 'account.roles_changed', 'client.added'],
  ...['key.rotated', 'session.ended', 'password.reset_forced'],
];
const events = KINDS.map((kind, index) => ({
  ...{ id: `e${index}`, kind, happened_at: ago(index), user_id: index < 4 ? mallory.id : null },
  actor: index === 5 ? { kind: 'operator', id: null } : { kind: 'user', id: users[index % 2]?.id },
  ...{ session_id: 's1', ip: '203.0.113.7', user_agent: index === 2 ? MARKUP : CHROME },
  ...{ request_id: 'req-7', details: index === 1 ? { reason: MARKUP } : null },
}));

const key = (kid: string, status: string, hours: number, more = {}) => ({
  ...{ kid, algorithm: 'ES256', status, published_at: ago(hours), activated_at: ago(hours - 1) },
  ...{ retired_at: null, revoked_at: null, delete_after: null, ...more },
});

const client = (client_id: string, name: string, more = {}) => ({
  ...{ client_id, name, authentication: 'secret', scopes: ['orders:read', 'orders:write'] },
  ...{ audiences: ['shop', 'payments'], created_at: ago(400), disabled_at: null, ...more },
});

const hours = Array.from({ length: 24 }, (_, index) => ({
  hour: ago(23.5 - index),
  sign_ins: Math.round(40 + 35 * Math.sin(index / 3.5)),
  failures: index === 17 ? 41 : index % 4,
  sign_ups: Math.round(3 + 3 * Math.sin(index / 3)),
}));

const role = (name: string, description: string) => ({ name, scopes: [], description });
const setting = (name: string, value: string | null, source: string) => ({ name, value, source });

const ANSWERS: Record<string, object> = {
  '/stats': {
    users: { total: 12_840, active: 12_811, banned: 29, unverified: 412, estimated: false },
    ...{ live_sessions: 20_114, live_sessions_estimated: true, by_hour: hours },
  },
  '/users': { users, next: 'more' },
  '/roles': {
    roles: [role('admin', 'May do all of this'), role('support', 'Helps members'), role('press', '')],
  },
  '/audit': { events, next: 'more' },
  '/clients': {
    clients: [
      client('orders', 'Order service'),
      client('nightly', 'nightly', { authentication: 'public_keys', scopes: [], disabled_at: ago(30) }),
    ],
    next: null,
  },
  '/keys': {
    keys: [
      key('Jx0dFQ4u8sVqz5o0mEoH0qLZQ3XxS4lBv1nT5h1oM7g', 'active', 300),
      key('kYb3n7u8sVqz5o0mEoH0qLZQ3XxS4lBv1nT5h1oAAAA', 'retired', 1020, {
        ...{ retired_at: ago(299), delete_after: ago(-1) },
      }),
    ],
    schedule: {
      ...{ algorithm: 'ES256', rotate_every_seconds: 2_592_000, publish_ahead_seconds: 900 },
      ...{ retain_seconds: 2700, next_rotation_at: ago(-420) },
    },
  },
  '/outbox': {
    messages: [
      {
        ...{ id: 'm1', lane: 'mail', created_at: ago(30), attempts: 12, dead_at: ago(2) },
        last_error: '550 5.1.1 There is no such mailbox here',
      },
    ],
    next: null,
  },
  '/settings': {
    settings: [
      setting('NODE_ENV', 'production', 'set'),
      setting('PUBLIC_URL', 'https://auth.example.com', 'set'),
      setting('DATABASE_URL', '(not shown)', 'set'),
      setting('ACCESS_TOKEN_TTL', '30m', 'default'),
      setting('COOKIE_DOMAIN', null, 'default'),
    ],
  },
};

/** Answers all reads of the admin API, for tests of how the console looks. */
export async function fakeAdminApi(page: Page): Promise<void> {
  await page.clock.setFixedTime(NOW);
  await page.route('**/admin/**', (route) => {
    const path = new URL(route.request().url()).pathname.slice('/admin'.length);
    return path.startsWith('/ui') ? route.fallback() : answer(route, path);
  });
}

function answer(route: Route, path: string): Promise<void> {
  const id = decodeURIComponent(path.slice('/users/'.length));
  const json = path.endsWith('/sessions')
    ? { sessions: [session('1', 1, CHROME), session('2', 5, MARKUP), session('3', 9, null)], next: null }
    : (ANSWERS[path] ?? users.find((user) => user.id === id));
  return route.fulfill({ json: json ?? {} });
}
