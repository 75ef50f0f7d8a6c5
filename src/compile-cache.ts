/**
 * Load this before the server (`node --import`): Node keeps the compiled code, types already stripped, and the next
 * start takes a quarter less time. It does nothing if the folder is not writable.
 */
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/doorward', import.meta.url)));
