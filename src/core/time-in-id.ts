/**
 * The least id (UUID of version 7, RFC 9562 §5.7) that is made at an instant, so that the index of ids finds times.
 * @param ms milliseconds since the epoch; before it, the epoch itself
 */
export function leastIdAt(ms: number): string {
  const hex = Math.max(0, ms).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}

/** The instant at which an id of that version was made, in milliseconds since the epoch. */
export function instantOfId(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}
