/** `stowage keygen`: makes a pair of keys to sign bundles with. */
import { StowageError } from '../errors.js'
import type { KeygenResult } from '../verbs/keygen.js'
import { choice, command, flag, optional } from './command.js'
import { printable } from './render.js'
import type { Session } from './session.js'
import { PASSPHRASE_FILE, readPassphrase } from './sign-options.js'

export const keygen = command({
  operands: {
    name: optional('Name of the files: NAME.key and NAME.pub (default: stowage)', 'path'),
  },
  options: {
    type: choice('ECDSA on P-256, which every tool takes, or Ed25519', ['ecdsa-p256', 'ed25519'], 'ecdsa-p256'),
    format: choice(
      'How the private key is kept: PKCS#8, as openssl has it, or as cosign does',
      ['pkcs8', 'cosign'],
      'pkcs8',
    ),
    'passphrase-file': PASSPHRASE_FILE,
    'no-passphrase': flag('Do not encrypt the private key: whoever has the file can sign'),
  },
  examples: [
    ['keygen plant', 'Asks for a passphrase, and writes plant.key and plant.pub'],
    ['keygen plant --passphrase-file secret', 'For scripts'],
  ],
  run: async ({ name = 'stowage', type, format, 'passphrase-file': file, 'no-passphrase': none }, session) => {
    if (none && file !== undefined)
      throw new StowageError('INVALID_ARGUMENT', '--passphrase-file and --no-passphrase cannot be used together')
    const { generateKeys, refuseExistingKeys } = await import('../verbs/keygen.js')
    await refuseExistingKeys(name)
    const passphrase = none ? '' : file === undefined ? await askTwice(session) : await readPassphrase(file)
    if (!none && passphrase === '')
      throw new StowageError('INVALID_ARGUMENT', 'the passphrase is empty', {
        hint: 'To keep the key unencrypted, say so: --no-passphrase.',
      })
    const result = await generateKeys(name, { type, format, passphrase })
    session.report({ schema: 'stowage.keygen/v1', ...result }, printable(keysText(result)))
  },
})

async function askTwice({ canAsk, signal }: Pick<Session, 'canAsk' | 'signal'>): Promise<string> {
  if (!canAsk)
    throw new StowageError('INVALID_ARGUMENT', 'there is no terminal to ask for a passphrase', {
      hint: 'Give a file that has it, --passphrase-file FILE, or say --no-passphrase.',
    })
  const { askHidden } = await import('./question.js')
  const first = await askHidden('Passphrase for the new key: ', signal)
  if (first === '') return first
  if ((await askHidden('Again: ', signal)) === first) return first
  throw new StowageError('INVALID_ARGUMENT', 'the two passphrases differ', { hint: 'Run the command again.' })
}

function keysText({ privateKey, publicKey, keyId }: KeygenResult): string {
  return `Private key: ${privateKey} (keep it where the bundles are packed)
Public key:  ${publicKey} (bring it to the sites, by another way than the bundles)
Key id:      ${keyId}
`
}
