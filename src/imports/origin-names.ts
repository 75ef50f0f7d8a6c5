/**
 * The systems whose users can be read, as `--from` names them. In the order in which a record is tried: those with a name of
 * their own for something before those that share names.
 */
export const ORIGIN_NAMES = [
  'firebase',
  'auth0',
  'supabase',
  'clerk',
  'kratos',
  'keycloak',
  'django',
  'ndjson',
  'csv',
] as const;

export type OriginName = (typeof ORIGIN_NAMES)[number];
