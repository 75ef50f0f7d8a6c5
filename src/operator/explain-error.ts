import { DataFolderError } from '../adapters/data-folder.ts';
import { ConfigError } from '../config/config.ts';
import { AppError, type FieldError } from '../core/errors.ts';
import { DatabaseError } from '../db/database-guard.ts';
import { DatabaseSetupError, PoolSizeError } from '../db/postgres.ts';
import { KeyEncryptionKeyError } from '../keys/key-material.ts';
import { CommandLineError } from './command-line-error.ts';
import { explainDatabase } from './explain-database.ts';

/** Their messages are written for operators. */
const SELF_EXPLAINING = [
  DataFolderError,
  KeyEncryptionKeyError,
  DatabaseSetupError,
  PoolSizeError,
  CommandLineError,
];

/**
 * The text for an operator when the server or a command cannot go on: clear lines for what an operator can fix, the
 * stack for everything else. Contains no secret.
 */
export function explainError(error: unknown): string {
  if (error instanceof ConfigError) return `These settings cannot be used:\n${error.message}`;
  if (SELF_EXPLAINING.some((kind) => error instanceof kind)) return (error as Error).message;
  const databaseError = databaseErrorIn(error);
  const explained = databaseError && explainDatabase(databaseError.sqlState);
  if (explained) return explained;
  if (error instanceof AppError && error.code === 'unavailable') {
    return 'The database does not answer: check DATABASE_URL and that PostgreSQL runs.';
  }
  if (error instanceof AppError && error.errors) return error.errors.map(explainField).join('\n');
  if (error instanceof AppError) return error.message;
  if (error instanceof DatabaseError) return `Cannot go on: ${error.message}.`;
  if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
    return `${error.message}: stop what listens there, or set PORT to another one.`;
  }
  if (error instanceof Error && 'code' in error && error.code === 'EACCES') {
    return `${error.message}: run this as the user that the server runs as.`;
  }
  return error instanceof Error ? String(error.stack) : String(error);
}

/** The answer of the database, on its own or as the cause of `unavailable`. */
function databaseErrorIn(error: unknown): DatabaseError | null {
  const inner = error instanceof AppError ? error.cause : error;
  return inner instanceof DatabaseError ? inner : null;
}

function explainField({ path, message }: FieldError): string {
  return `${path.slice(1) || 'It'}: ${message}`;
}
