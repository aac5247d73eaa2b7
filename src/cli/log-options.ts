/** `--log`: what was done, and how it ended, is added to a log; and the logs that the policy of this machine names. */
import { resolve } from 'node:path'
import { type BundleManifest, encodeBundleManifest } from '../bundle/manifest.js'
import type { RecordedFacts } from '../custody/entry.js'
import type { LogHead } from '../custody/log-file.js'
import { StowageError } from '../errors.js'
import { digestOf } from '../oci/digest.js'
import { value, type Values } from './command.js'
import type { Session } from './session.js'

export const LOG_OPTIONS = {
  log: value('Add an entry to this log: what was done, by whom, and how it ended', { takes: 'path' }),
  'log-key': value('Sign entries of the log with this private key', { takes: 'path' }),
} as const

/** What is known of a bundle that was written. */
export function packedFacts(path: string, manifest: BundleManifest): RecordedFacts {
  return {
    bundle: { path, digest: digestOf(encodeBundleManifest(manifest)) },
    images: manifest.images.map(({ names, root }) => ({ names, id: root.digest })),
  }
}

/** The images of a command that tries each, and the first failure. */
export function triedFacts(
  images: readonly {
    readonly names: readonly string[]
    readonly id?: string | undefined
    readonly error?: StowageError | undefined
  }[],
): RecordedFacts {
  const failed = images.find(({ error }) => error)?.error
  return { images: images.map(({ names, id }) => ({ names, id })), failure: failed }
}

/** The values of a command that has {@link LOG_OPTIONS}. */
export type LogValues = Values<typeof LOG_OPTIONS> & { readonly 'dry-run'?: boolean | undefined }

/**
 * Runs `work`, the command `name`, and adds an entry about it to each log. Throws what a log that cannot be written to
 * throws: before the work, and if the entry cannot be added, after it.
 */
export async function runLogged(
  name: string,
  values: LogValues,
  session: Session,
  work: (session: Session) => Promise<void>,
): Promise<void> {
  const { readPolicy } = await import('../signature/policy.js')
  const policy = await readPolicy()
  const logs = [...new Set([values.log, policy?.log].flatMap(log => (log === undefined ? [] : [resolve(log)])))]
  const key = values['log-key'] ?? policy?.logKey
  if (values['log-key'] !== undefined && logs.length === 0)
    throw new StowageError('INVALID_ARGUMENT', '--log-key needs --log', {
      hint: 'Name the file of the log: --log FILE.',
    })
  if (logs.length === 0 || values['dry-run']) {
    await work(session)
    return
  }
  const { appendLog, expectLog } = await import('../custody/log-file.js')
  const { readSigner } = await import('./sign-options.js')
  const settings = { option: '--log-key', key, command: undefined, passphraseFile: undefined }
  const signer = await readSigner(settings, session)
  const heads: LogHead[] = []
  for (const log of logs) {
    const head = await expectLog(log)
    if (head) heads.push(head)
  }
  let facts: RecordedFacts = {}
  const record = (more: RecordedFacts): void => void (facts = { ...facts, ...more })
  const end = async (failure: RecordedFacts['failure']): Promise<void> => {
    const { failure: _failure, ...known } = facts
    const result = failure ? { result: failure.code, message: failure.message } : { result: 'ok' }
    for (const log of logs) await appendLog(log, { command: name, ...result, ...known }, signer)
  }
  try {
    await work({ ...session, record, logHeads: heads })
  } catch (error) {
    const { code, message } = error instanceof StowageError ? error : { code: 'FAILED', message: String(error) }
    await end({ code, message }).catch((unlogged: unknown) =>
      session.note(
        `warning: this is not in the log: ${unlogged instanceof Error ? unlogged.message : String(unlogged)}`,
      ),
    )
    throw error
  }
  await end(facts.failure)
}
