import Type, { type Static, type TSchema } from 'typebox';

/** Every string from outside must be well-formed Unicode (no lone surrogate) without NUL, which PostgreSQL refuses. */
export function isText(value: string): boolean {
  return value.isWellFormed() && !value.includes('\0');
}

/** A string of a request. */
export const Text = (options: { minLength?: number; maxLength?: number; description?: string } = {}) =>
  Type.String({ format: 'text', ...options });

/** A request body: exactly these fields. */
export const Body = <Fields extends Record<string, TSchema>>(fields: Fields) =>
  Type.Object(fields, { additionalProperties: false });

/** A body that may be missing. Not a union: its errors would mention both branches. */
export const OptionalBody = <Fields extends Record<string, TSchema>>(fields: Fields) => {
  const body = Body(fields);
  return Type.Unsafe<Static<typeof body> | null>({ ...body, type: ['object', 'null'] });
};

/** The query of a request: exactly these parameters. */
export const Query = <Fields extends Record<string, TSchema>>(parameters: Fields) => Body(parameters);

export const Uuid = () => Type.String({ format: 'uuid' });

/** An instant in a response, RFC 3339 in UTC. */
export const Instant = (description?: string) =>
  Type.String({ format: 'date-time', ...(description && { description }) });
