import Type from 'typebox';
import { Instant, Text, Uuid } from '../http/schemas.ts';

export const NullableText = Type.Union([Type.String(), Type.Null()]);
const NullableInstant = (description?: string) => Type.Union([Instant(description), Type.Null()]);

/** The id of a user, a session or a message in the path. */
export const IdInPath = Type.Object({ id: Uuid() });

export const Session = Type.Object({
  id: Uuid(),
  user_id: Uuid(),
  created_at: Instant('When the user signed in'),
  last_seen_at: Instant('Written at most once a minute'),
  authenticated_at: Instant('When the user last showed who they are'),
  expires_at: Instant('The absolute end; an unused session ends earlier'),
  ip: NullableText,
  user_agent: NullableText,
  amr: Type.Array(Type.String(), { description: 'How: RFC 8176' }),
});

export const Client = Type.Object({
  client_id: Type.String(),
  name: Type.String({ description: 'For people' }),
  authentication: Type.Union([Type.Literal('secret'), Type.Literal('public_keys')]),
  scopes: Type.Array(Type.String()),
  audiences: Type.Array(Type.String(), {
    description: 'Services whose tokens it may get, see and redeem',
  }),
  created_at: Instant(),
  disabled_at: NullableInstant(),
});

export const NewClientCredentials = Type.Object({
  client: Client,
  client_secret: Type.Union([Type.String(), Type.Null()], {
    description: 'Shown this once; null for a client with public keys',
  }),
});

/** Texts for lists of names; the rules for each are those of the command line. */
export const Names = (description: string) =>
  Type.Array(Text({ maxLength: 300 }), { maxItems: 100, description });

export const SigningKey = Type.Object({
  kid: Type.String({ description: 'RFC 7638' }),
  algorithm: Type.String(),
  status: Type.String({ description: 'pending, active, retired, revoked or untrusted' }),
  published_at: Instant(),
  activated_at: NullableInstant('When it began to sign'),
  retired_at: NullableInstant('When it ceased to sign'),
  revoked_at: NullableInstant(),
  delete_after: NullableInstant('When it leaves the key set'),
});

export const RotationSchedule = Type.Object({
  algorithm: Type.String({ description: 'Of the next key' }),
  rotate_every_seconds: Type.Number(),
  publish_ahead_seconds: Type.Number({ description: 'From the publication of a key to its first signature' }),
  retain_seconds: Type.Number({ description: 'How long a key stays public after its last signature' }),
  next_rotation_at: NullableInstant(
    'When the next key signs; in the past if overdue, null without an active key',
  ),
});

export const DeadMessage = Type.Object({
  id: Uuid(),
  lane: Type.String({ description: 'What kind of message it is' }),
  created_at: Instant(),
  attempts: Type.Integer(),
  dead_at: Instant('When it was given up'),
  last_error: Type.Union([Type.String(), Type.Null()], { description: 'A code or a name, never a message' }),
});

export const Setting = Type.Object({
  name: Type.String(),
  value: Type.Union([Type.String(), Type.Null()], {
    description: 'As one would write it into the environment; null if unset. A secret is not shown',
  }),
  source: Type.Union([Type.Literal('default'), Type.Literal('set')], {
    description: '`default`: as if it had not been set',
  }),
});

const Count = (description?: string) => Type.Integer({ minimum: 0, ...(description && { description }) });

export const Stats = Type.Object({
  users: Type.Object({
    total: Count(),
    active: Count(),
    banned: Count('Up to 20,000'),
    unverified: Count('Whose address is not verified'),
    estimated: Type.Boolean({
      description: 'Above 20,000 users, `total` and `unverified` are estimates of PostgreSQL',
    }),
  }),
  live_sessions: Count(),
  live_sessions_estimated: Type.Boolean({ description: 'Above 20,000 rows' }),
  by_hour: Type.Array(
    Type.Object({
      hour: Instant('Its beginning'),
      sign_ins: Count('Sessions that were started; 20,000 means that or more'),
      failures: Count('Sign-ins that failed; 20,000 means that or more'),
      sign_ups: Count('Accounts that were made; 20,000 means that or more'),
    }),
    { description: 'The last 24 hours, the oldest first; the last one is not over' },
  ),
});
