import { execFileSync } from 'node:child_process'
import { createHash, randomInt } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { checkSignatures, expectSigned, type Requirement } from '../../src/signature/check.js'
import { makeKeyPair, readPrivateKey, type Signer } from '../../src/signature/private-key.js'
import { parsePublicKey, type PublicKey, readPublicKey } from '../../src/signature/public-key.js'
import { encodeSigstoreBundle } from '../../src/signature/signature-file.js'
import { makeSigstore } from '../support/sigstore.js'
import { scratch } from '../support/scratch.js'

const directory = scratch(t)
const message = Buffer.from(`${JSON.stringify({ schemaVersion: 1, images: [], files: [] }, null, 2)}\n`)
const digest = `sha256:${createHash('sha256').update(message).digest('hex')}` as const

const openssl = (...words: readonly string[]): Buffer => execFileSync('openssl', words, { cwd: directory })

/** A pair of keys made by openssl. */
async function opensslPair(name: string, ...algorithm: readonly string[]): Promise<Signer> {
  openssl('genpkey', '-out', `${name}.key`, ...algorithm)
  openssl('pkey', '-in', `${name}.key`, '-pubout', '-out', `${name}.pub`)
  return await readPrivateKey(join(directory, `${name}.key`))
}

const P256 = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'] as const
const plant = await opensslPair('plant', ...P256)
const desk = await opensslPair('desk', '-algorithm', 'ed25519')
const other = await opensslPair('other', ...P256)

async function filesOf(signer: Signer, name = 'bundle.json') {
  const signature = await signer.sign(message)
  return [
    { name: `${name}.sig`, bytes: signature },
    { name: `${name}.sigstore.json`, bytes: encodeSigstoreBundle(signer.publicKey, digest, signature) },
  ]
}

const trusting = (...keys: readonly PublicKey[]): Requirement => ({ keys })

t.test("a key's id is the SHA-256 that openssl gives of it", async t => {
  const public_ = await readPublicKey(join(directory, 'plant.pub'))
  const der = openssl('pkey', '-pubin', '-in', 'plant.pub', '-outform', 'DER')
  t.equal(public_.id, createHash('sha256').update(der).digest('hex'))
  t.equal(public_.id, plant.publicKey.id)
})

t.test('openssl says yes to the plain signature, and no to another message', async t => {
  for (const [name, signer] of Object.entries({ plant, desk })) {
    await writeFile(join(directory, 'message'), message)
    await writeFile(join(directory, 'message.sig'), await signer.sign(message))
    const words =
      name === 'plant'
        ? ['dgst', '-sha256', '-verify', 'plant.pub', '-signature', 'message.sig', 'message']
        : ['pkeyutl', '-verify', '-pubin', '-inkey', 'desk.pub', '-rawin', '-in', 'message', '-sigfile', 'message.sig']
    t.match(openssl(...words).toString(), /Verified OK|Signature Verified Successfully/, name)
    await writeFile(join(directory, 'message'), 'another')
    t.throws(() => execFileSync('openssl', words, { cwd: directory, stdio: 'ignore' }), name)
  }
})

t.test('signatures that openssl makes are valid here', async t => {
  await writeFile(join(directory, 'message'), message)
  openssl('dgst', '-sha256', '-sign', 'plant.key', '-out', 'theirs.sig', 'message')
  const bytes = await readFile(join(directory, 'theirs.sig'))
  for (const each of [bytes, Buffer.from(`${bytes.toString('base64')}\n`)]) {
    const report = await checkSignatures(message, [{ name: 'theirs.sig', bytes: each }], [trusting(plant.publicKey)])
    t.strictSame(report.signedBy, [plant.publicKey.id], 'in DER, and in base64 as cosign writes it')
  }
})

t.test('who signed is found by key, counted once for each key, and told from those who are not trusted', async t => {
  const files = [...(await filesOf(plant)), ...(await filesOf(desk, 'bundle.json.desk'))]
  const check = async (...keys: readonly PublicKey[]) => await checkSignatures(message, files, [trusting(...keys)])
  t.strictSame((await check(plant.publicKey)).signedBy, [plant.publicKey.id])
  const both = await check(plant.publicKey, desk.publicKey, plant.publicKey)
  t.strictSame(both.signedBy, [plant.publicKey.id, desk.publicKey.id].sort())
  t.strictSame(
    both.signatures.map(({ files: names, status }) => [names.length, status]),
    [
      [2, 'valid'],
      [2, 'valid'],
    ],
    'the two files of a signature are one',
  )
  expectSigned(both, { keys: [plant.publicKey, desk.publicKey], threshold: 2 }, '')
  const one = await check(plant.publicKey)
  t.throws(() => expectSigned(one, { keys: [plant.publicKey, desk.publicKey], threshold: 2 }, ''), {
    code: 'SIGNATURE_INVALID',
    message: `expected valid signatures by 2 trusted keys but found 1, by key ${plant.publicKey.id.slice(0, 16)}; bundle.json.desk.sigstore.json: by key ${desk.publicKey.id.slice(0, 16)}, which is not trusted`,
  })
  const none = await check(other.publicKey)
  t.throws(() => expectSigned(none, trusting(other.publicKey), ''), { code: 'SIGNATURE_INVALID' })
  t.throws(() => expectSigned({ signatures: [], signedBy: [] }, trusting(other.publicKey), 'Look there.'), {
    code: 'SIGNATURE_MISSING',
    hint: 'Look there.',
  })
})

t.test('what is trusted for one requirement does not count for another', async t => {
  const files = [...(await filesOf(plant)), ...(await filesOf(desk, 'bundle.json.desk'))]
  const [policy, given] = [trusting(other.publicKey), trusting(plant.publicKey, desk.publicKey)]
  const report = await checkSignatures(message, files, [policy, given])
  expectSigned(report, given, '')
  t.throws(() => expectSigned(report, policy, ''), { code: 'SIGNATURE_INVALID' })
})

t.test('without a key, a signature is reported and nothing is claimed', async t => {
  const { signatures, signedBy } = await checkSignatures(message, await filesOf(plant), [])
  t.strictSame(signedBy, [])
  t.match(signatures, [{ status: 'unchecked', keyId: plant.publicKey.id }])
})

t.test('of 10,000 mutants of the message and of its signatures, none is taken that changes what is signed', async t => {
  const files = [...(await filesOf(plant)), ...(await filesOf(desk, 'bundle.json.desk'))]
  const requirement = { keys: [plant.publicKey, desk.publicKey], threshold: 2 }
  let [taken, changed] = [0, 0]
  const mutate = (bytes: Uint8Array): Buffer => {
    const copy = Buffer.from(bytes)
    const at = randomInt(copy.length)
    switch (randomInt(4)) {
      case 0:
        copy[at] = (copy[at] ?? 0) ^ (1 << randomInt(8))
        return copy
      case 1:
        return Buffer.concat([copy.subarray(0, at), copy.subarray(at + 1)])
      case 2:
        return Buffer.concat([copy.subarray(0, at), Buffer.from([randomInt(256)]), copy.subarray(at)])
      default:
        return copy.subarray(0, at)
    }
  }
  for (let n = 0; n < 10_000; n++) {
    const which = randomInt(files.length + 1)
    const bytes = which === files.length ? mutate(message) : message
    const given = files.map((file, i) => (i === which ? { ...file, bytes: mutate(file.bytes) } : file))
    if (which === files.length && bytes.equals(message)) continue // a byte was put beside its like
    if (which === files.length) changed++
    try {
      expectSigned(await checkSignatures(bytes, given, [requirement]), requirement, '')
      taken++
      if (which === files.length) t.fail(`taken: ${bytes.toString('hex')}`)
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'SIGNATURE_INVALID') throw error
      if (which !== files.length)
        t.fail(`refused, although the other form of each signature is whole: ${error.message}`)
    }
  }
  t.ok(changed > 1000 && taken > 1000, `${changed} of the message, ${taken} of a signature that has another form`)
})

t.test('a lone signature that was changed is refused', async t => {
  for (const signer of [plant, desk]) {
    const requirement = trusting(signer.publicKey)
    for (const { name, bytes } of await filesOf(signer)) {
      const text = JSON.stringify({
        ...(name.endsWith('json') ? (JSON.parse(Buffer.from(bytes).toString()) as object) : {}),
      })
      for (let at = 0; at < bytes.length; at++) {
        const mutant = Buffer.from(bytes)
        mutant[at] = (mutant[at] ?? 0) ^ (1 << randomInt(8))
        const { signedBy } = await checkSignatures(message, [{ name, bytes: mutant }], [requirement])
        if (signedBy.length === 0) continue
        // Fields that say nothing of who signed what, such as the hint, or the form of the number
        const signatures = [bytes, mutant].map(each => signatureOf(name, each))
        t.equal(signatures[0], signatures[1], `${name}: byte ${at} of ${text.length}`)
      }
    }
  }
})

function signatureOf(name: string, bytes: Uint8Array): string {
  const text = Buffer.from(bytes)
  if (!name.endsWith('.json')) return text.toString('hex')
  const { messageSignature } = JSON.parse(text.toString()) as { messageSignature: { signature: string } }
  return Buffer.from(messageSignature.signature, 'base64').toString('hex')
}

t.test('keys of each kind are read, and what is none is called what it is', async t => {
  const path = join(directory, 'made.key')
  for (const type of ['ecdsa-p256', 'ed25519'] as const) {
    for (const format of ['pkcs8', 'cosign'] as const) {
      const made = await makeKeyPair(type, format, 'secret')
      await writeFile(path, made.privatePem)
      t.equal((await readPrivateKey(path, async () => 'secret')).publicKey.id, made.publicKey.id, `${type} ${format}`)
      t.equal(parsePublicKey(made.publicPem, 'made').type, type)
      await t.rejects(
        readPrivateKey(path, async () => 'wrong'),
        { code: 'KEY_INVALID', message: /the passphrase is wrong/ },
      )
      await t.rejects(readPrivateKey(path), { code: 'KEY_INVALID', message: /is encrypted, and no passphrase/ })
    }
  }
  openssl('ec', '-in', 'plant.key', '-out', 'sec1.key')
  t.equal((await readPrivateKey(join(directory, 'sec1.key'))).publicKey.id, plant.publicKey.id, 'SEC 1')
  openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', 'rsa.key')
  await t.rejects(readPrivateKey(join(directory, 'rsa.key')), { code: 'KEY_INVALID', message: /but found RSA$/ })
  openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384', '-out', 'p384.key')
  await t.rejects(readPrivateKey(join(directory, 'p384.key')), { message: /but found ECDSA on secp384r1$/ })
  await t.rejects(readPrivateKey(join(directory, 'plant.pub')), {
    message: /expected a private key but found a public/,
  })
  await t.rejects(readPublicKey(join(directory, 'plant.key')), { message: /expected a public key but found a private/ })
  await t.rejects(readPublicKey(join(directory, 'none.pub')), { code: 'FILE_NOT_FOUND' })
  await writeFile(path, 'no key')
  await t.rejects(readPublicKey(path), { code: 'KEY_INVALID', message: /expected a public key in PEM/ })
})

t.test('a key of cosign that asks for all of the memory, or for another cipher, is refused', async t => {
  const path = join(directory, 'costly.key')
  const { privatePem } = await makeKeyPair('ecdsa-p256', 'cosign', 'secret')
  const [, body = ''] = /-----\n([^-]+)\n-----/.exec(privatePem) ?? []
  const document = JSON.parse(Buffer.from(body, 'base64').toString()) as { kdf: { params: object }; cipher: object }
  for (const changed of [
    { ...document, kdf: { ...document.kdf, params: { N: 2 ** 30, r: 8, p: 1 } } },
    { ...document, kdf: { ...document.kdf, params: { N: 3, r: 8, p: 1 } } },
    { ...document, kdf: { ...document.kdf, name: 'pbkdf2' } },
    { ...document, cipher: { ...document.cipher, nonce: 'AAAA' } },
    { ...document, cipher: 1 },
  ]) {
    const text = Buffer.from(JSON.stringify(changed)).toString('base64')
    const label = 'ENCRYPTED COSIGN PRIVATE KEY'
    await writeFile(path, `-----BEGIN ${label}-----\n${text}\n-----END ${label}-----\n`)
    await t.rejects(
      readPrivateKey(path, async () => 'secret'),
      { code: 'KEY_INVALID' },
    )
  }
})

t.test("a certificate of sigstore is checked by sigstore's own code, without a network", async t => {
  const [ours, theirs] = [await makeSigstore(), await makeSigstore()]
  const [identity, issuer] = ['https://ci.example/pack', 'https://issuer.example']
  const bundle = await ours.sign(message, identity, issuer)
  const check = async (trust: Partial<{ trustedRoot: unknown; identity: string; issuer: string }>, bytes = message) => {
    const files = [{ name: 'b.sigstore.json', bytes: Buffer.from(JSON.stringify(bundle)) }]
    const keyless = { trustedRoot: ours.trustedRoot, identity, issuer, ...trust }
    const requirement = { keys: [], keyless }
    const report = await checkSignatures(bytes, files, [requirement])
    expectSigned(report, requirement, '')
    return report
  }
  t.match(await check({}), { signedBy: [identity], signatures: [{ status: 'valid', identity, issuer }] })
  const refused = { code: 'SIGNATURE_INVALID' }
  await t.rejects(check({ identity: 'https://ci.example/pac' }), {
    ...refused,
    message: /is of https:\/\/ci.example\/pack/,
  })
  await t.rejects(check({ identity: 'https://ci.example/.*' }), refused, 'it is no pattern')
  await t.rejects(check({ issuer: 'https://another.example' }), refused)
  await t.rejects(check({ trustedRoot: theirs.trustedRoot }), { ...refused, message: /its certificate does not hold/ })
  await t.rejects(check({}, Buffer.from('another')), { ...refused, message: /it was made of other content/ })
  const { signatures } = await checkSignatures(
    message,
    [{ name: 'b.sigstore.json', bytes: Buffer.from(JSON.stringify(bundle)) }],
    [],
  )
  t.match(signatures, [{ status: 'unchecked' }])
})

t.test('what is no signature is said to be none', async t => {
  const bundle = (change: object) =>
    Buffer.from(
      JSON.stringify({
        mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
        verificationMaterial: { publicKey: { hint: 'x' } },
        messageSignature: { signature: Buffer.alloc(70, 1).toString('base64') },
        ...change,
      }),
    )
  const cases: readonly (readonly [string, Uint8Array])[] = [
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('-----BEGIN PGP SIGNATURE-----')],
    ['a mebibyte', Buffer.alloc(1024 * 1024, 0x41)],
    ['broken JSON', Buffer.from('{')],
    ['another mediaType', bundle({ mediaType: 'application/json' })],
    ['an attestation', bundle({ messageSignature: undefined, dsseEnvelope: {} })],
    ['no material', bundle({ verificationMaterial: undefined })],
    ['a signature that is no base64', bundle({ messageSignature: { signature: '!' } })],
    [
      'a hash of another kind',
      bundle({ messageSignature: { signature: 'AAAAAAAAAAAA', messageDigest: { algorithm: 'SHA2_512', digest: '' } } }),
    ],
  ]
  for (const [what, bytes] of cases) {
    const { signatures, signedBy } = await checkSignatures(message, [{ name: 'x', bytes }], [trusting(plant.publicKey)])
    t.strictSame(signedBy, [], what)
    t.match(signatures[0]?.status, /malformed|untrusted/, what)
  }
})
