/** Argon2id with 1, 2, 3, 4 and 5 passes: the least memory that the OWASP Password Storage Cheat Sheet accepts, in KiB. */
const LEAST_HASH_MEMORY_KIB = [47_104, 19_456, 12_288, 9216, 7168];

/** The least memory, in KiB, that makes up for so few passes. */
export function leastHashMemoryKib(iterations: number): number {
  return Math.min(...LEAST_HASH_MEMORY_KIB.slice(0, iterations));
}

/** The fewest passes that make up for so little memory, in KiB; 0 if none do. */
export function leastHashIterations(memoryKib: number): number {
  return LEAST_HASH_MEMORY_KIB.findIndex((leastKib) => memoryKib >= leastKib) + 1;
}
