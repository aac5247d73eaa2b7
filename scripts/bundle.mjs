/**
 * Puts the built command and all that it depends on in one file, `dist/command/stowage.js`, for `stowage kit`: on a stick, many
 * small files are slow, and large. Run it after the TypeScript is compiled.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { buildSync } from 'esbuild'

const ROOT = resolve(import.meta.dirname, '..')

const { metafile } = buildSync({
  absWorkingDir: ROOT,
  entryPoints: {
    stowage: 'dist/cli/main.js',
    // Programs of their own, beside the module that starts them
    'hash-worker': 'dist/blob/hash-worker.js',
    'mount-child': 'dist/wim/mount-child.js',
  },
  outdir: 'dist/command',
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  minify: true,
  keepNames: true, // of errors
  metafile: true,
  logLevel: 'warning',
  // Some dependencies are CommonJS
  banner: { js: "import{createRequire as __require}from'node:module';const require=__require(import.meta.url);" },
})
writeFileSync(join(ROOT, 'dist', 'command', 'licenses.txt'), licencesOf(Object.keys(metafile.inputs)))

/** The licences of the packages that the files are from. */
function licencesOf(files) {
  const roots = files.map(file => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0])
  return [...new Set(roots.filter(root => root !== undefined))]
    .sort()
    .map(root => {
      const { name, version, license } = JSON.parse(readFileSync(join(ROOT, root, 'package.json'), 'utf8'))
      const file = readdirSync(join(ROOT, root)).find(each => /^licen[cs]e/i.test(each))
      const text = file ? readFileSync(join(ROOT, root, file), 'utf8') : `Licence: ${license}\n`
      return `${name} ${version}\n\n${text.trim()}\n`
    })
    .join(`\n${'-'.repeat(80)}\n\n`)
}
