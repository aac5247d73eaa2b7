import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { StowageError } from '../../src/errors.js'
import { parseOtherList } from '../../src/images-file/other-lists.js'
import { commandFile } from '../support/command.js'
import { runnableImage, writeLayout } from '../support/images.js'
import { pushWithSkopeo, startRegistry } from '../support/registry.js'

const read = (text: string) => parseOtherList(Buffer.from(text), 'list')
const found = (text: string) =>
  read(text)?.images.map(({ at, request }) => `${at.line}:${at.column} ${String(request['image'])}`)

function faultsOf(text: string): readonly string[] {
  try {
    read(text)
  } catch (error) {
    if (error instanceof StowageError && error.code === 'IMAGES_FILE_INVALID') return error.message.split('\n')
    throw error
  }
  return []
}

const REFERENCES = `# what rancher-images.txt and the like hold
nginx:1.27   # the front
  registry.lan:5000/team/shop:2.3

docker.io/library/nginx:1.27
oci:./layout:v1\r
busybox@sha256:${'a'.repeat(64)}
`

const COMPOSE = `services:
  web:
    image: "nginx:1.27"
    build: .
  built: {build: ./app}
  db:
    image: postgres:16
    platform: linux/arm64
  cache: &cache
    image: redis:7
  cache2:
    <<: *cache
volumes: {data: {}}
`

const KUBERNETES = `# Source: shop/templates/deployment.yaml
apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      initContainers: [{name: init, image: busybox:1.36}]
      containers:
        - name: shop
          image: registry.lan/team/shop:2.3
        - {name: again, image: 'registry.lan/team/shop:2.3'}
      volumes:
        - name: data
          image: {reference: "quay.example/data:1", pullPolicy: Never}
---
---
apiVersion: batch/v1
kind: CronJob
spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: alpine}]}}}}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec: {schema: {properties: {image: {type: string, description: no image}}}}
`

t.test('parseOtherList() takes a reference a line', async t => {
  t.equal(read(REFERENCES)?.kind, 'references')
  t.same(found(REFERENCES), [
    '2:1 docker.io/library/nginx:1.27',
    '3:3 registry.lan:5000/team/shop:2.3',
    '6:1 oci:./layout:v1',
    `7:1 docker.io/library/busybox@sha256:${'a'.repeat(64)}`,
  ])
  t.match(faultsOf('nginx:1.27\nNGINX:1\n'), [/^list:2:1: /])
  t.match(faultsOf('nginx:1\nshop:$TAG\n'), [/^list:2:1: shop:\$TAG contains a variable.*envsubst/])
})

t.test('parseOtherList() takes the services of a compose file that have an image', async t => {
  t.equal(read(COMPOSE)?.kind, 'compose')
  t.same(found(COMPOSE), [
    '3:12 docker.io/library/nginx:1.27',
    '7:12 docker.io/library/postgres:16',
    '10:12 docker.io/library/redis:7',
  ])
  t.match(read(COMPOSE)?.images[1], { platforms: ['linux/arm64'] })
  t.match(faultsOf('services: {a: {image: "x:${TAG:-1}"}}'), [
    /^list:1:23: .*contains a variable.*docker compose config/,
  ])
  t.match(faultsOf('services: {a: {build: .}}'), [/expected "image:" in this compose file but found none/])
})

t.test('parseOtherList() takes every image of Kubernetes manifests, whatever is around it', async t => {
  t.equal(read(KUBERNETES)?.kind, 'kubernetes')
  t.same(found(KUBERNETES), [
    '7:44 docker.io/library/busybox:1.36',
    '10:18 registry.lan/team/shop:2.3',
    '14:30 quay.example/data:1',
    '19:68 docker.io/library/alpine',
  ])
  t.match(faultsOf('apiVersion: v1\nkind: Pod\nspec: {containers: [{image: "a b"}]}\n'), [/^list:3:/])
  t.match(faultsOf('apiVersion: v1\nkind: Pod\n---\na: [\n'), [/^list:\d+:\d+: /], 'broken YAML is named by its line')
})

t.test('parseOtherList() limits what aliases expand to, in all documents together', async t => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
  const bomb = names.map(
    (name, n) =>
      `${name}: &${name} [${Array(8)
        .fill(n === 0 ? 'x' : `*${names[n - 1]}`)
        .join(', ')}]`,
  )
  const document = ['apiVersion: v1', 'kind: List', ...bomb.slice(0, 6)].join('\n')
  const before = process.memoryUsage().rss
  t.match(faultsOf(['apiVersion: v1', 'kind: List', ...bomb].join('\n')), [/more than 2000000 values/])
  t.match(faultsOf(Array(10).fill(document).join('\n---\n')), [/more than 2000000 values/])
  t.ok(process.memoryUsage().rss - before < 1_500_000_000)
})

t.test('parseOtherList() leaves alone what may be an images.yaml', async t => {
  for (const text of [
    'version: 1\nimages: [nginx]\n',
    'version: 1',
    'version: [',
    '',
    '- nginx\n',
    '# nothing\n',
    '\0\xff',
  ])
    t.equal(read(text), undefined, JSON.stringify(text))
})

t.test('pack -f - packs what helm template prints, and says from which line', async t => {
  const cwd = t.testdir()
  const registry = await startRegistry(t)
  const image = await runnableImage()
  await pushWithSkopeo(t, registry, 'team/shop:2.3', image)
  await writeLayout(join(cwd, 'layout'), { 'monitor:1': image })
  const input = KUBERNETES.replace(/registry\.lan/g, registry.domain).replace(
    /busybox:1\.36|quay\.example\/data:1|alpine/g,
    `${registry.domain}/team/shop:2.3`,
  )
  const stowage = (words: readonly string[]) =>
    spawnSync(process.execPath, [commandFile(), ...words], { cwd, input, encoding: 'utf8' })
  const planned = stowage(['pack', '-f', '-', '--dry-run'])
  t.equal(planned.status, 0, planned.stderr)
  t.match(planned.stdout, /shop:2\.3 .*standard input:7/)
  const packed = stowage(['pack', '-f', '-', '-o', 'bundle'])
  t.equal(packed.status, 0, packed.stderr)
  t.match(packed.stderr, /-: read as a Kubernetes manifest/)
  t.notMatch(packed.stderr, /locked in/)
  writeFileSync(join(cwd, 'images.txt'), `${registry.domain}/team/shop:2.3\noci:layout:1\n`)
  const listed = stowage(['pack', '-f', 'images.txt', '-o', 'listed', '--json'])
  t.equal(listed.status, 0, listed.stderr)
  t.match(JSON.parse(listed.stdout), {
    images: [{ names: [`${registry.domain}/team/shop:2.3`, 'docker.io/library/monitor:1'] }],
  })
})
