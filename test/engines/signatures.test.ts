/** What cosign, a token by PKCS#11, and the system's own record of calls say of signatures. */
import { execFileSync, spawnSync } from 'node:child_process'
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { commandFile, stowage } from '../support/command.js'
import { Debian } from '../support/debian.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'
import { makeSigstore } from '../support/sigstore.js'

const judges = await Debian.open('forky')
t.teardown(async () => await judges.remove())
const root = judges.work
await writeLayout(join(root, 'layout'), { 'shop:1': await layeredImage(2, { size: 700 }) })
await writeFile(join(root, 'secret'), 'open sesame')

async function ours(...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await stowage(words, { cwd: root })
  if (code !== 0) throw new Error(`stowage ${words.join(' ')}: ${stderr}${stdout}`)
  return stdout
}

const cosign = async (...words: readonly string[]) =>
  await judges.run('env', '-C', root, 'COSIGN_PASSWORD=open sesame', 'cosign', ...words)

t.test('cosign verifies our signatures by each kind of key, and refuses another bundle.json', async t => {
  const version = /GitVersion|v?(\d+\.\d+\.\d+)/.exec((await cosign('version')).stdout)
  t.ok(version, 'cosign runs')
  for (const [type, format] of [
    ['ecdsa-p256', 'pkcs8'],
    ['ecdsa-p256', 'cosign'],
    ['ed25519', 'pkcs8'],
  ] as const) {
    const name = `${type}-${format}`
    await ours('keygen', name, '--type', type, '--format', format, '--passphrase-file', 'secret')
    const key = ['--sign-key', `${name}.key`, '--passphrase-file', 'secret']
    await ours('pack', 'oci:layout:shop:1', '-o', `${name}.d`, ...key)
    const words = [
      'verify-blob',
      '--bundle',
      `${name}.d/bundle.json.sigstore.json`,
      '--key',
      `${name}.pub`,
      '--insecure-ignore-tlog',
    ]
    t.match(await cosign(...words, `${name}.d/bundle.json`), { code: 0, stderr: /Verified OK/ }, name)
    await writeFile(join(root, 'changed'), `${await readFile(join(root, `${name}.d/bundle.json`), 'utf8')} `)
    t.not((await cosign(...words, 'changed')).code, 0, `${name}: another file`)
  }
})

t.test('cosign signs with a key that we made, and we take its signature', async t => {
  await cp(join(root, 'ecdsa-p256-cosign.d'), join(root, 'theirs'), { recursive: true })
  const words = ['--key', 'ecdsa-p256-cosign.key', '--use-signing-config=false', '--tlog-upload=false', '--yes']
  const out = 'theirs/bundle.json.cosign.sigstore.json'
  t.match(await cosign('sign-blob', ...words, '--bundle', out, 'theirs/bundle.json'), { code: 0 })
  await ours('verify', 'theirs', '--key', 'ecdsa-p256-cosign.pub')
  t.match(await ours('verify', 'theirs', '--key', 'ecdsa-p256-cosign.pub', '--json'), out.split('/')[1])
})

t.test('we sign with a key that cosign made', async t => {
  t.match(await cosign('generate-key-pair'), { code: 0 })
  await ours('pack', 'oci:layout:shop:1', '-o', 'c.tar', '--sign-key', 'cosign.key', '--passphrase-file', 'secret')
  await ours('verify', 'c.tar', '--key', 'cosign.pub')
  await writeFile(join(root, 'c.bundle.json'), execFileSync('tar', ['-xOf', join(root, 'c.tar'), 'bundle.json']))
  const words = [
    'verify-blob',
    '--bundle',
    'c.bundle.json.sigstore.json',
    '--key',
    'cosign.pub',
    '--insecure-ignore-tlog',
  ]
  t.match(await cosign(...words, 'c.bundle.json'), { code: 0, stderr: /Verified OK/ })
})

t.test('a key in a token signs through PKCS#11, and never leaves it', async t => {
  const work = scratch(t)
  await writeFile(
    join(work, 'softhsm2.conf'),
    `directories.tokendir = ${join(work, 'tokens')}\nobjectstore.backend = file\n`,
  )
  await mkdir(join(work, 'tokens'))
  const env = { ...process.env, SOFTHSM2_CONF: join(work, 'softhsm2.conf') }
  const tool = (program: string, ...words: readonly string[]) => execFileSync(program, words, { env, stdio: 'pipe' })
  tool('softhsm2-util', '--init-token', '--free', '--label', 'stowage', '--pin', '1234', '--so-pin', '4321')
  const module = '/usr/lib/softhsm/libsofthsm2.so'
  const login = ['--module', module, '--token-label', 'stowage', '--login', '--pin', '1234']
  tool('pkcs11-tool', ...login, '--keypairgen', '--key-type', 'EC:prime256v1', '--id', '01', '--label', 'plant')
  const der = tool('pkcs11-tool', ...login, '--read-object', '--type', 'pubkey', '--id', '01')
  await writeFile(join(work, 'token.der'), der)
  tool('openssl', 'pkey', '-pubin', '-inform', 'DER', '-in', join(work, 'token.der'), '-out', join(work, 'token.pub'))
  const commands = [
    `openssl dgst -sha256 -binary | pkcs11-tool ${login.join(' ')} --sign --mechanism ECDSA --signature-format openssl --id 01`,
    `openssl dgst -sha256 -engine pkcs11 -keyform engine -sign 'pkcs11:token=stowage;id=%01;pin-value=1234'`,
  ]
  for (const [n, command] of commands.entries()) {
    const bundle = join(work, `b${n}`)
    const words = ['pack', `oci:${root}/layout:shop:1`, '-o', bundle, '--sign-key', join(work, 'token.pub')]
    const more = { PKCS11_MODULE_PATH: module, SOFTHSM2_CONF: join(work, 'softhsm2.conf') }
    const made = await stowage([...words, '--sign-command', command], { env: more })
    t.match(made, { code: 0, stdout: /\nSigned / }, command)
    t.match(await stowage(['verify', bundle, '--key', join(work, 'token.pub')]), {
      code: 0,
      stdout: /: the signature holds/,
    })
    const plain = ['-verify', join(work, 'token.pub'), '-signature', join(bundle, 'bundle.json.sig')]
    t.match(tool('openssl', 'dgst', '-sha256', ...plain, join(bundle, 'bundle.json')).toString(), 'Verified OK')
  }
})

t.test('a certificate is checked against a carried root without a single connection', async t => {
  const sigstore = await makeSigstore()
  const [identity, issuer] = ['https://ci.example/pack', 'https://issuer.example']
  await ours('pack', 'oci:layout:shop:1', '-o', 'keyless')
  const signed = await sigstore.sign(await readFile(join(root, 'keyless/bundle.json')), identity, issuer)
  await writeFile(join(root, 'keyless/bundle.json.sigstore.json'), JSON.stringify(signed))
  await writeFile(join(root, 'trusted_root.json'), JSON.stringify(sigstore.trustedRoot))
  const words = ['verify', 'keyless', '--trusted-root', 'trusted_root.json', '--certificate-identity', identity]
  const command = [process.execPath, commandFile(), ...words, '--certificate-oidc-issuer', issuer]
  const log = join(scratch(t), 'calls')
  const { NODE_OPTIONS: _, ...env } = process.env
  const run = spawnSync('strace', ['-f', '-e', 'trace=socket,connect', '-o', log, ...command], { cwd: root, env })
  t.match(
    { code: run.status, stdout: run.stdout.toString() },
    { code: 0, stdout: `Signed by ${identity}: the signature holds` },
  )
  t.notMatch(await readFile(log, 'utf8'), /AF_INET|connect\(/)
  const { code, stdout } = await stowage(
    [...words.slice(0, -1), 'https://ci.example', '--certificate-oidc-issuer', issuer],
    { cwd: root },
  )
  t.match({ code, stdout }, { code: 9, stdout: /its certificate is of https:\/\/ci.example\/pack/ })
})
