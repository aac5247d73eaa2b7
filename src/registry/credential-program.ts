/** Runs credential helpers, `docker-credential-NAME`. Source: docker-credential-helpers, "Development". */
import { spawn } from 'node:child_process'
import { StowageError, systemCode } from '../errors.js'

/** Milliseconds that a helper may take: it may ask the user. */
const TIMEOUT = 30_000

export interface HelperSecret {
  readonly username: string
  readonly secret: string
}

/** The credential that the helper has for `server`, if any. Throws UNAUTHORIZED naming the helper. */
export async function getFromHelper(name: string, server: string): Promise<HelperSecret | undefined> {
  const { code, output } = await runHelper(name, 'get', server)
  if (code !== 0) {
    if (/credentials not found/i.test(output)) return undefined
    throw helperFailed(name, output.trim().slice(0, 200) || `exit code ${code}`)
  }
  try {
    const { Username: username, Secret: secret } = JSON.parse(output) as Record<string, unknown>
    if (typeof username === 'string' && typeof secret === 'string')
      return secret === '' ? undefined : { username, secret }
  } catch {
    // The error below does not repeat the output, which may contain the secret
  }
  throw helperFailed(name, 'its answer is not JSON with Username and Secret')
}

export async function storeInHelper(name: string, server: string, { username, secret }: HelperSecret): Promise<void> {
  const { code, output } = await runHelper(
    name,
    'store',
    JSON.stringify({ ServerURL: server, Username: username, Secret: secret }),
  )
  if (code !== 0) throw helperFailed(name, output.trim().slice(0, 200) || `exit code ${code}`)
}

/** Helpers do not report whether there was anything to erase. */
export async function eraseInHelper(name: string, server: string): Promise<void> {
  const { code, output } = await runHelper(name, 'erase', server)
  if (code !== 0 && !/credentials not found/i.test(output))
    throw helperFailed(name, output.trim().slice(0, 200) || `exit code ${code}`)
}

async function runHelper(name: string, verb: string, input: string): Promise<{ code: number; output: string }> {
  if (!/^[\w.-]+$/.test(name)) throw helperFailed(name.slice(0, 40), 'this is not a valid helper name')
  const program = `docker-credential-${name}${process.platform === 'win32' ? '.exe' : ''}`
  return await new Promise((resolve, reject) => {
    const child = spawn(program, [verb], { stdio: ['pipe', 'pipe', 'inherit'], windowsHide: true, timeout: TIMEOUT })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (piece: string) => (output = (output + piece).slice(0, 1 << 20)))
    child.stdin.on('error', () => undefined) // the exit code explains why it did not read its input
    child.on('error', error => {
      const missing = systemCode(error) === 'ENOENT'
      reject(helperFailed(name, missing ? `${program} is not installed` : error.message))
    })
    child.on('close', code => {
      if (code === null) reject(helperFailed(name, `it did not answer within ${TIMEOUT / 1000} s`))
      else resolve({ code, output })
    })
    child.stdin.end(`${input}\n`)
  })
}

function helperFailed(name: string, why: string): StowageError {
  return new StowageError('UNAUTHORIZED', `the credential helper ${name} failed: ${why}`, {
    hint: 'Repair it, or remove it from credsStore and credHelpers in the configuration file that names it.',
  })
}
