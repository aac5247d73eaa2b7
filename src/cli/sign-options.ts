/** What signs: a key in a file, or a command; and the passphrase of the key. */
import { StowageError } from '../errors.js'
import type { Signer } from '../signature/private-key.js'
import { value } from './command.js'
import type { Session } from './session.js'

export const PASSPHRASE_FILE = value(
  'A file with the passphrase of the key, on its first line; prompted for if omitted',
  {
    takes: 'path',
  },
)

const COMMAND =
  'Sign with this command, which reads from stdin what is to be signed and writes the signature to stdout; the key is then the public one'

export const SIGN_COMMAND = value(COMMAND, { valueName: 'COMMAND' })

export interface SignSettings {
  /** The option that names the key. */
  readonly option: string
  readonly key: string | undefined
  readonly command: string | undefined
  readonly passphraseFile: string | undefined
}

/** What signs; undefined if nothing is to be signed. Throws INVALID_ARGUMENT, KEY_INVALID, FILE_NOT_FOUND. */
export async function readSigner(
  { option, key, command, passphraseFile }: SignSettings,
  session: Pick<Session, 'canAsk' | 'signal'>,
): Promise<Signer | undefined> {
  if (key === undefined) {
    if (command !== undefined)
      throw new StowageError('INVALID_ARGUMENT', `--sign-command needs ${option}`, {
        hint: `Give the public key of what the command signs with: ${option} FILE.pub.`,
      })
    if (passphraseFile !== undefined) throw new StowageError('INVALID_ARGUMENT', `--passphrase-file needs ${option}`)
    return undefined
  }
  if (command !== undefined) {
    const [{ commandSigner }, { readPublicKey }] = await Promise.all([
      import('../signature/sign-command.js'),
      import('../signature/public-key.js'),
    ])
    return commandSigner(command, await readPublicKey(key))
  }
  const { readPrivateKey } = await import('../signature/private-key.js')
  return await readPrivateKey(key, async source => await passphrase(source, passphraseFile, session))
}

/** The passphrase for `source`: of the file, of `COSIGN_PASSWORD`, or as it is typed. Throws KEY_INVALID. */
async function passphrase(
  source: string,
  file: string | undefined,
  { canAsk, signal }: Pick<Session, 'canAsk' | 'signal'>,
): Promise<string> {
  if (file !== undefined) return await readPassphrase(file)
  const given = process.env['COSIGN_PASSWORD']
  if (given !== undefined) return given
  if (!canAsk) {
    throw new StowageError(
      'KEY_INVALID',
      `${source} is encrypted, and there is no terminal to ask for its passphrase`,
      {
        hint: 'Give a file that has it: --passphrase-file FILE.',
      },
    )
  }
  const { askHidden } = await import('./question.js')
  return await askHidden(`Passphrase of ${source}: `, signal)
}

/** The first line of the file. Throws FILE_NOT_FOUND. */
export async function readPassphrase(file: string): Promise<string> {
  const { readKeyFile } = await import('../signature/public-key.js')
  return Buffer.from(await readKeyFile(file), 'latin1')
    .toString('utf8')
    .replace(/\r?\n[^]*$/, '')
}
