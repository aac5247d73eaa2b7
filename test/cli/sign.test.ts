import { execFileSync } from 'node:child_process'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { layeredImage, writeLayout } from '../support/images.js'
import { stowage } from '../support/command.js'
import { scratch } from '../support/scratch.js'

const root = scratch(t)
await writeLayout(join(root, 'layout'), { 'shop:1': await layeredImage(2, { size: 700 }) })
await writeFile(join(root, 'secret'), 'open sesame\n')
const run = async (...words: readonly string[]) => await stowage(words, { cwd: root })

/** A directory of settings that holds a policy. */
async function policy(t: Test, text: string): Promise<Record<string, string>> {
  const config = scratch(t)
  await writeFile(join(config, 'policy.yaml'), text)
  return { STOWAGE_CONFIG: config }
}

t.test('keygen makes keys that openssl reads, for their owner only, and overwrites none', async t => {
  t.match(await run('keygen', 'plant', '--passphrase-file', 'secret'), {
    code: 0,
    stdout: /^Private key: plant.key .*\nPublic key: {2}plant.pub .*\nKey id: {6}[0-9a-f]{64}\n$/,
  })
  t.equal((await stat(join(root, 'plant.key'))).mode & 0o777, 0o600)
  const pub = execFileSync('openssl', ['pkey', '-in', 'plant.key', '-passin', 'file:secret', '-pubout'], { cwd: root })
  t.equal(pub.toString(), await readFile(join(root, 'plant.pub'), 'utf8'))
  t.match(await run('keygen', 'plant', '--no-passphrase'), {
    code: 1,
    stderr: /plant.key exists already, and a key is never overwritten\nhint: /,
  })
  t.match(await run('keygen', 'lone'), {
    code: 2,
    stderr: /there is no terminal to ask for a passphrase\nhint: Give a file .*--no-passphrase/,
  })
  t.match(await run('keygen', 'desk', '--no-passphrase', '--type', 'ed25519', '--json'), {
    code: 0,
    stdout: /"schema": "stowage.keygen\/v1"/,
  })
})

t.test('pack signs, verify says by whom, and whether that was checked', async t => {
  const packed = await run(
    'pack',
    'oci:layout:shop:1',
    '-o',
    'site',
    '--serial',
    '7',
    '--sign-key',
    'plant.key',
    '--passphrase-file',
    'secret',
  )
  t.match(packed, {
    code: 0,
    stdout: /\nSigned site with key [0-9a-f]{16}: site\/bundle.json.sig, site\/bundle.json.sigstore.json\n/,
  })
  const unchecked = await run('verify', 'site')
  t.match(unchecked, {
    code: 0,
    stdout:
      /\nSigned by key [0-9a-f]{16}, which was not checked: give the public key with --key \(bundle.json.sigstore.json\)\nsite: OK/,
  })
  const checked = await run('verify', 'site', '--key', 'plant.pub')
  t.match(checked, { code: 0, stdout: /\nSigned by key [0-9a-f]{16} \(plant.pub\): the signature holds\nsite: OK/ })
  const refused = await run('verify', 'site', '--key', 'desk.pub')
  t.match(refused, {
    code: 9,
    stdout:
      /^SIGNATURE_INVALID {2}bundle.json: expected a valid signature by a trusted key but found none; bundle.json.sigstore.json: by key [0-9a-f]{16}, which is not trusted\nsite: 1 defect found/,
  })
  t.match(JSON.parse((await run('verify', 'site', '--key', 'plant.pub', '--json')).stdout), {
    signatures: { signatures: [{ status: 'valid' }], signedBy: [/^[0-9a-f]{64}$/] },
  })
  t.match(await run('verify', 'site', '--not-older-than', '8'), {
    code: 9,
    stdout: /^ROLLBACK {2}bundle.json: it is number 7, which is older: --not-older-than has number 8\n/,
  })
  t.match(await run('verify', 'site', '--not-older-than', 'site'), { code: 0 })
})

t.test('load refuses with exit code 9, before anything is written', async t => {
  const refused = await run('load', 'site', '--to', 'oci:there', '--key', 'desk.pub')
  t.match(refused, {
    code: 9,
    stdout: '',
    stderr:
      /^stowage: site: expected a valid signature by a trusted key but found none; .*\nhint: If the key that signed it should be trusted, get it from its owner/m,
  })
  await t.rejects(stat(join(root, 'there', 'index.json')))
  t.match(await run('load', 'site', '--to', 'oci:there', '--key', 'plant.pub'), {
    code: 0,
    stdout: /^Signed by key [0-9a-f]{16} \(plant.pub\): the signature holds\nNAME/,
  })
})

t.test('sign adds a signature, says so, and needs the passphrase', async t => {
  t.match(await run('sign', 'site', '--key', 'desk.key'), {
    code: 0,
    stdout: /^Signed site with key ([0-9a-f]{16}): site\/bundle.json.\1.sig, site\/bundle.json.\1.sigstore.json\n$/,
  })
  t.match(await run('sign', 'site', '--key', 'desk.key'), { code: 0, stdout: /^Nothing to do: site is signed by key / })
  t.match(await run('verify', 'site', '--key', 'desk.pub', '--key', 'plant.pub', '--threshold', '2'), {
    code: 0,
    stdout: /Signed by key .* and key .*: the signature holds/,
  })
  t.match(await run('sign', 'site', '--key', 'plant.key'), {
    code: 9,
    stderr: /plant.key is encrypted, and there is no terminal to ask for its passphrase\nhint: .*--passphrase-file/,
  })
  await writeFile(join(root, 'wrong'), 'sesame')
  t.match(await run('sign', 'site', '--key', 'plant.key', '--passphrase-file', 'wrong'), {
    code: 9,
    stderr: /plant.key: the passphrase is wrong, or the file was damaged\nhint: /,
  })
  t.match(await run('sign', 'site', '--key', 'plant.pub'), {
    code: 9,
    stderr: /plant.pub: expected a private key but found a public key\nhint: Give the private key/,
  })
  t.match(await run('sign', 'site', '--key', 'none.key'), { code: 3, stderr: /none.key does not exist/ })
  t.match(await run('pack', 'oci:layout:shop:1', '-o', '-', '--sign-key', 'desk.key'), {
    code: 2,
    stderr: /a signature is kept beside the bundle, and a stream has no place\nhint: /,
  })
  t.match(await run('pack', 'oci:layout:shop:1', '-o', 'x', '--sign-command', 'true'), {
    code: 2,
    stderr: /--sign-command needs --sign-key\nhint: /,
  })
  t.match(await run('verify', 'site', '--threshold', '2'), {
    code: 2,
    stderr: /--threshold: expected a number from 1 to 0|--threshold/,
  })
})

t.test('a command signs, and what it writes is checked', async t => {
  t.match(await run('keygen', 'token', '--no-passphrase'), { code: 0 })
  const command = 'openssl dgst -sha256 -sign token.key'
  t.match(
    await run('pack', 'oci:layout:shop:1', '-o', 'token.tar', '--sign-key', 'token.pub', '--sign-command', command),
    { code: 0, stdout: /Signed token.tar with key [0-9a-f]{16}: token.bundle.json.sig/ },
  )
  t.match(await run('verify', 'token.tar', '--key', 'token.pub'), { code: 0 })
  t.match(await run('sign', 'token.tar', '--key', 'plant.pub', '--sign-command', command), {
    code: 9,
    stderr: /bytes that the command wrote are no signature by plant.pub\nhint: /,
  })
  t.match(await run('sign', 'token.tar', '--key', 'plant.pub', '--sign-command', 'exit 3'), {
    code: 9,
    stderr: /the command that signs failed: exit code 3\nhint: /,
  })
})

t.test("a site's policy is the default of every command that takes images from a bundle", async t => {
  const env = await policy(t, `require: signature\nkeys: [${join(root, 'desk.pub')}]\n`)
  const at = async (...words: readonly string[]) => await stowage(words, { cwd: root, env })
  t.match(await run('pack', 'oci:layout:shop:1', '-o', 'bare'), { code: 0 })
  for (const words of [
    ['load', 'bare', '--to', 'oci:l1'],
    ['copy', 'bundle:bare:shop:1', 'oci:l2'],
    ['serve', 'bare', '--listen', '127.0.0.1:0'],
    ['pack', 'bundle:bare', '-o', 'l3'],
    ['push', '127.0.0.1:1/shop:1', '--from', 'bundle:bare'],
    ['source', 'list'],
  ]) {
    const { code, stderr } = await at(...words)
    if (words[0] === 'source') t.equal(code, 0)
    else
      t.match(
        { code, stderr },
        {
          code: 9,
          stderr:
            /^stowage: (?:127.0.0.1:1\/shop:1: )?bare: it is not signed\nhint: Its signature belongs in bare\/bundle.json.sigstore.json/m,
        },
        words.join(' '),
      )
  }
  t.match(await at('verify', 'bare'), { code: 9, stdout: /^SIGNATURE_MISSING {2}bundle.json: it is not signed\n/ })
  t.match(await at('load', 'site', '--to', 'oci:l1'), { code: 0 }, 'which the desk has signed')
  t.match(
    await at('load', 'token.tar', '--to', 'oci:l4', '--key', 'token.pub'),
    { code: 9 },
    'no option takes the policy away',
  )
})

t.test('a policy keeps receipts, and refuses what is older than the last', async t => {
  const env = await policy(t, `require: signature\nkeys: [${join(root, 'plant.pub')}]\nreceipts: receipts\n`)
  await mkdir(join(env['STOWAGE_CONFIG'] ?? '', 'receipts'))
  const sign = ['--sign-key', 'plant.key', '--passphrase-file', 'secret']
  t.match(await run('pack', 'oci:layout:shop:1', '-o', 'older', '--serial', '6', ...sign), { code: 0 })
  const at = async (...words: readonly string[]) => await stowage(words, { cwd: root, env })
  t.match(await at('load', 'older', '--to', 'oci:r1'), { code: 0 })
  t.match(await at('load', 'site', '--to', 'oci:r1'), { code: 0 }, 'number 7')
  t.match(await at('load', 'older', '--to', 'oci:r2'), {
    code: 9,
    stderr: /older: it is number 6, which is older: .*receipt-\S+\.json has number 7\nhint: Do not load it/,
  })
})

t.test('a policy that is wrong lets nothing pass, and says where', async t => {
  for (const [text, message] of [
    ['require: signature', /it requires signatures but names neither keys nor a certificate-identity/],
    ['require: always', /require: expected signature or none but found "always"/],
    ['requires: signature', /expected require, keys, .* but found requires/],
    ['keys: [x.pub]\nrequire: signature', /x.pub does not exist/],
    [`keys: [${join(root, 'plant.pub')}]`, /it names whom to trust but does not say "require: signature"/],
    [`require: signature\nkeys: [${join(root, 'plant.pub')}]\nthreshold: 2`, /2 signatures cannot be had from 1 keys/],
    ['{', /policy.yaml: /],
    ['- a', /expected fields such as "require: signature"/],
  ] as const) {
    const env = await policy(t, text)
    t.match(
      await stowage(['load', 'site', '--to', 'oci:l5'], { cwd: root, env }),
      { code: /3|9/, stderr: message },
      text,
    )
  }
  const env = await policy(t, 'require: none\n')
  t.match(await stowage(['load', 'site', '--to', 'oci:l6'], { cwd: root, env }), { code: 0 })
})
