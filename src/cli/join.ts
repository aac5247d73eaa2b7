/** `stowage join`: puts volumes together. */
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import { joinVolumes } from '../verbs/volumes.js'
import { command, oneOrMore, value } from './command.js'
import { count } from './render.js'
import { formatSize } from '../size-text.js'
import { volumeAsker } from './volume-options.js'

export const join = command({
  operands: {
    volume: oneOrMore('A volume, or directories that hold the volumes of one bundle, in any order', 'path'),
  },
  options: {
    output: value('The tar, or - for standard output', { alias: 'o', required: true, takes: 'path' }),
  },
  examples: [
    ['join /media/stick1 /media/stick2 -o site-a.tar', 'From two sticks'],
    ['join x.tar.001 -o - | docker load', 'Straight into an engine'],
  ],
  run: async ({ volume, output }, session) => {
    const { signal, onProgress, report } = session
    if (output === STANDARD_STREAM) session.claimStdout()
    const result = await joinVolumes(volume, output, { askForVolume: volumeAsker(session), signal, onProgress })
    const where = output === STANDARD_STREAM ? 'standard output' : output
    report(
      { schema: 'stowage.join/v1', ...result },
      `Joined ${count(result.count, 'volume')} to ${where} (${formatSize(result.size)})\n`,
    )
  },
})
