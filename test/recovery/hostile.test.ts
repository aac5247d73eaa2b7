import { readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { StowageError } from '../../src/errors.js'
import { createRecoverySet, measure } from '../../src/recovery/create-set.js'
import {
  encodeBlockSums,
  encodeDescription,
  encodeMain,
  encodePacket,
  fileId,
  MAGIC,
  md5Of,
  SUM,
  setIdOf,
} from '../../src/recovery/packets.js'
import { readRecoverySet } from '../../src/recovery/read-set.js'
import { examineFiles, repairFiles } from '../../src/recovery/repair-set.js'
import { bytesOf, writeFiles } from '../support/recovery.js'
import { scratch } from '../support/scratch.js'

interface Claims {
  readonly blockSize?: number
  readonly size?: number
  readonly sums?: number
  readonly names?: readonly string[]
}

/** The critical packets of a set whose hashes are all right, whatever it claims. */
function setOf({ blockSize = 4096, size = 4096, sums = Math.ceil(size / blockSize), names = ['x'] }: Claims): Buffer {
  const zero = md5Of(Buffer.alloc(0))
  const files = names.map(name => ({ id: fileId(zero, size, name), name, size, md5: zero, headMd5: zero }))
  const main = encodeMain({ blockSize, files: files.map(({ id }) => id) })
  const setId = setIdOf(main)
  return Buffer.concat([
    encodePacket(setId, 'main', main),
    ...files.flatMap(file => [
      encodePacket(setId, 'description', encodeDescription(file)),
      encodePacket(setId, 'checksums', encodeBlockSums(file.id, Buffer.alloc(sums * SUM))),
    ]),
  ])
}

t.test('readRecoverySet() refuses names that lead out of the directory, and claims that cannot be true', async t => {
  const path = join(scratch(t), 'set.par2')
  const refused = async (claims: Claims, message: RegExp) => {
    await writeFile(path, setOf(claims))
    await t.rejects(readRecoverySet([path]), { code: 'BUNDLE_INVALID', message }, JSON.stringify(claims).slice(0, 60))
  }
  await writeFile(path, setOf({}))
  t.match(await readRecoverySet([path]), { blocks: 1 }, 'such a set is read if it claims nothing false')
  for (const name of ['../x', 'a/../../x', '/etc/passwd', 'a//b', './x', 'C:x', 'a\\..\\x', '..', 'a\nb', 'a/']) {
    await refused({ names: [name] }, /names a file outside of the bundle/)
  }
  await refused({ names: ['x', 'x'] }, /names x twice/)
  await refused({ blockSize: 4, size: 4 * 32769, sums: 1 }, /over 32768 blocks/)
  await refused({ size: Number.MAX_SAFE_INTEGER, sums: 1 }, /over 32768 blocks/)
  await refused({ size: 8192, sums: 1 }, /has 2 blocks but 1 checksums/)
  for (const blockSize of [0, 5]) {
    const main = encodeMain({ blockSize, files: [] })
    await writeFile(path, encodePacket(setIdOf(main), 'main', main))
    await t.rejects(readRecoverySet([path]), { code: 'BUNDLE_INVALID', message: /block size/ })
  }
  const many = encodeMain({ blockSize: 4, files: [] })
  many.writeUInt32LE(0xffffffff, 8)
  await writeFile(path, encodePacket(setIdOf(many), 'main', many))
  await t.rejects(readRecoverySet([path]), { code: 'BUNDLE_INVALID', message: /claims 4294967295 files/ })
})

t.test('a file of heads that claim long packets, one within the other, is refused or read in seconds', async t => {
  const path = join(scratch(t), 'set.par2')
  const main = encodeMain({ blockSize: 4, files: [] })
  for (const type of ['description', 'checksums', 'main', 'recovery'] as const) {
    const head = encodePacket(setIdOf(main), type, Buffer.alloc(0))
    const file = Buffer.concat([
      encodePacket(setIdOf(main), 'main', main),
      ...Array.from({ length: 200_000 }, () => head),
    ])
    for (let at = file.indexOf(MAGIC, 1); at >= 0; at = file.indexOf(MAGIC, at + 1)) {
      file.writeBigUInt64LE(BigInt(type === 'recovery' ? 1_000_000 : 4000), at + 8)
    }
    await writeFile(path, file)
    const start = process.cpuUsage()
    await readRecoverySet([path]).catch((error: unknown) => t.match(error, { code: 'BUNDLE_INVALID' }))
    const { user } = process.cpuUsage(start)
    t.ok(user < 5e6, `${type}: ${user / 1e6} s`)
  }
})

t.test(
  'whatever bytes change in PAR2 files, reading and repairing end with the right files or a StowageError',
  async t => {
    const directory = scratch(t)
    writeFiles(directory, { 'x.tar': 60_000 })
    const index = join(directory, 'x.tar.par2')
    await createRecoverySet(directory, await measure(directory, ['x.tar']), 20, index)
    const volume = join(directory, 'x.tar.vol000+03.par2')
    const whole = await readFile(volume)
    await rm(index)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.nat(59_999),
        async (changes, at) => {
          const bytes = Buffer.from(whole)
          for (const [offset, byte] of changes) bytes[offset] = byte
          await writeFile(volume, bytes)
          const file = bytesOf('x.tar', 60_000)
          file[at] = ~(file[at] ?? 0)
          await writeFile(join(directory, 'x.tar'), file)
          try {
            const set = await readRecoverySet([volume])
            if (!set) return
            await repairFiles(set, directory, await examineFiles(set, directory))
          } catch (error) {
            if (!(error instanceof StowageError)) throw error
            return
          }
          if (!(await readFile(join(directory, 'x.tar'))).equals(bytesOf('x.tar', 60_000)))
            throw new Error('other bytes')
        },
      ),
      { numRuns: 100 },
    )
    t.same((await readdir(directory)).sort(), ['x.tar', 'x.tar.vol000+03.par2'])
    t.equal((await stat(join(directory, 'x.tar'))).size, 60_000)
  },
)
