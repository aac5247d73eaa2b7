/** Signing with a command, for keys that cannot be read: in a token, a smart card, or a service. */
import { spawn } from 'node:child_process'
import { StowageError } from '../errors.js'
import type { Signer } from './private-key.js'
import { isSignedBy, type PublicKey } from './public-key.js'

/** The most that is read of what the command prints, in bytes. */
const OUTPUT_LIMIT = 4096

/**
 * A signer that runs `command` in the shell of the system: it reads the bytes to sign from standard input, and writes the
 * signature to standard output, ECDSA in DER or the bytes of Ed25519, or either in base64. Its standard error and its
 * terminal are the caller's, so that it can ask for a PIN. What it writes is checked with `publicKey`.
 */
export function commandSigner(command: string, publicKey: PublicKey): Signer {
  return {
    publicKey,
    async sign(bytes) {
      const output = await run(command, bytes)
      const text = output.toString('latin1').trim()
      const forms = [output, ...(/^[A-Za-z0-9+/\s]+={0,2}$/.test(text) ? [Buffer.from(text, 'base64')] : [])]
      const signature = forms.find(form => isSignedBy(publicKey, bytes, form))
      if (signature) return signature
      throw new StowageError(
        'SIGNATURE_INVALID',
        `the ${output.length} bytes that the command wrote are no signature by ${publicKey.source}`,
        {
          hint: `Given what is to be signed on standard input, it must write ${publicKey.type === 'ed25519' ? 'an Ed25519 signature' : 'an ECDSA signature with SHA-256, in DER'}. See docs/signatures.md.`,
        },
      )
    },
  }
}

async function run(command: string, input: Uint8Array): Promise<Buffer> {
  const child = spawn(command, { shell: true, stdio: ['pipe', 'pipe', 'inherit'] })
  const pieces: Buffer[] = []
  let size = 0
  child.stdout.on('data', (piece: Buffer) => {
    size += piece.length
    if (size <= OUTPUT_LIMIT) pieces.push(piece)
  })
  child.stdin.on('error', () => undefined) // one that does not read it all; what it wrote is checked
  child.stdin.end(input)
  const ended = await new Promise<string | undefined>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve(code === 0 ? undefined : (signal ?? `exit code ${code}`)))
  })
  if (ended === undefined) return Buffer.concat(pieces)
  throw new StowageError('KEY_INVALID', `the command that signs failed: ${ended}`, {
    hint: 'It is run by the shell, so try it there: give it a file on standard input.',
  })
}
