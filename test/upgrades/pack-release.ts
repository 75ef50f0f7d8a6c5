/**
 * `npm run previous-release -- TAG`: packs the server of a release, from its tag or any commit, as the one before in the
 * tests of upgrades. Run it just after a release, and commit the file with the first change that follows.
 *
 * Its packages are those of this repository: a release that needs others is packed when they are gone from here, too.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { constants, zstdCompressSync } from 'node:zlib';
import { DATA_OF_TODAY, PREVIOUS_RELEASE } from './previous-release.ts';

const ref = process.argv[2];
if (ref === undefined) throw new Error('name a tag or a commit');

/** What runs, without what pages load and what only drizzle-kit reads. */
const paths = ['src', 'drizzle', 'package.json'];
const leftOut = ['src/browser', 'drizzle/meta/*_snapshot.json', ...DATA_OF_TODAY].map((path) => `:!${path}`);
const archive = ['archive', '--format=tar', ref, '--', ...paths, ...leftOut];
const tar = execFileSync('git', archive, { maxBuffer: 2 ** 28 });
const packed = zstdCompressSync(tar, { params: { [constants.ZSTD_c_compressionLevel]: 19 } });
writeFileSync(PREVIOUS_RELEASE, packed);
process.stdout.write(`${packed.length} bytes, of ${tar.length}\n`);
