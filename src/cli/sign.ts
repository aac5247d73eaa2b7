/** `stowage sign`: signs a bundle. */
import { StowageError } from '../errors.js'
import { shortKeyId } from '../signature/key-name.js'
import type { SignResult } from '../verbs/sign.js'
import { command, flag, oneOrMore, value } from './command.js'
import { bundlePath } from './locations.js'
import { LOG_OPTIONS } from './log-options.js'
import { printable } from './render.js'
import { PASSPHRASE_FILE, readSigner, SIGN_COMMAND } from './sign-options.js'

export const sign = command({
  operands: {
    bundle: oneOrMore('A bundle: a directory or a file; or its volumes, in any number of places', 'path'),
  },
  options: {
    key: value('The private key: PEM of openssl, encrypted or not, or a key of cosign', {
      required: true,
      takes: 'path',
    }),
    'passphrase-file': PASSPHRASE_FILE,
    'sign-command': SIGN_COMMAND,
    ...LOG_OPTIONS,
    'no-deep': flag('Do not decompress layers when the bundle is verified first: faster, and proves less'),
  },
  examples: [
    [
      'sign /media/stick/site-a --key plant.key',
      'Writes bundle.json.sig and bundle.json.sigstore.json into the bundle',
    ],
    ['sign site-a.tar --key desk.key', 'Writes site-a.bundle.json.sig … beside the tar; another signature stays'],
    [
      "sign site-a --key token.pub --sign-command 'openssl dgst -sha256 -binary | pkcs11-tool -l -s -m ECDSA -f openssl'",
      'With a key that never leaves its token',
    ],
  ],
  run: async ({ bundle, key, 'passphrase-file': passphraseFile, 'sign-command': signCommand, ...options }, session) => {
    const { signal, onProgress, report } = session
    const [path = '', ...more] = await Promise.all(
      bundle.map(async each => await bundlePath(each, location => `sign takes bundles, not ${location}.`)),
    )
    const signer = await readSigner({ option: '--key', key, command: signCommand, passphraseFile }, session)
    if (!signer) throw new StowageError('INVALID_ARGUMENT', '--key is missing')
    session.record({ bundle: { path } })
    const { signBundle } = await import('../verbs/sign.js')
    const result = await signBundle(path, signer, { deep: !options['no-deep'], more, signal, onProgress })
    session.record({ bundle: { path, digest: result.digest, signedBy: [result.keyId] } })
    report({ schema: 'stowage.sign/v1', ...result }, printable(`${signedText(result)}\n`))
  },
})

/** What was done, in a line. */
export function signedText({ path, keyId, files, unchanged }: SignResult): string {
  const by = `key ${shortKeyId(keyId)}`
  return unchanged ? `Nothing to do: ${path} is signed by ${by}` : `Signed ${path} with ${by}: ${files.join(', ')}`
}
