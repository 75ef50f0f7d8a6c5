import { auth0Origin } from './auth0-origin.ts';
import { clerkOrigin } from './clerk-origin.ts';
import { csvOrigin } from './csv-origin.ts';
import { djangoOrigin } from './django-origin.ts';
import { firebaseOrigin } from './firebase-origin.ts';
import type { ForeignRecord, Origin } from './foreign-record.ts';
import { keycloakOrigin } from './keycloak-origin.ts';
import { kratosOrigin } from './kratos-origin.ts';
import { ndjsonOrigin } from './ndjson-origin.ts';
import { ORIGIN_NAMES, type OriginName } from './origin-names.ts';
import { supabaseOrigin } from './supabase-origin.ts';

const ORIGINS: Record<OriginName, Origin> = {
  firebase: firebaseOrigin,
  auth0: auth0Origin,
  supabase: supabaseOrigin,
  clerk: clerkOrigin,
  kratos: kratosOrigin,
  keycloak: keycloakOrigin,
  django: djangoOrigin,
  ndjson: ndjsonOrigin,
  csv: csvOrigin,
};

export function originNamed(name: OriginName): Origin {
  return ORIGINS[name];
}

/**
 * The system that a record looks like.
 * @param isRow whether it is a row of a CSV file
 * @returns null if it looks like none
 */
export function originOf(record: ForeignRecord, isRow: boolean): OriginName | null {
  const other = isRow ? 'ndjson' : 'csv';
  return ORIGIN_NAMES.find((name) => name !== other && ORIGINS[name].fits(record)) ?? null;
}
