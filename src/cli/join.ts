/** `stowage join`: puts volumes together. */
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import { joinVolumes } from '../verbs/volumes.js'
import { command, oneOrMore, value } from './command.js'
import { count } from './render.js'
import { formatSize } from '../size-text.js'
import { VERIFY_OPTION, verifiedDocument, verifiedText, verifyAgain } from './verify-option.js'
import { volumeAsker } from './volume-options.js'

export const join = command({
  operands: {
    volume: oneOrMore('A volume, or directories that hold the volumes of one bundle, in any order', 'path'),
  },
  options: {
    output: value('The tar, or - for standard output', { alias: 'o', required: true, takes: 'path' }),
    verify: VERIFY_OPTION,
  },
  examples: [
    ['join /media/stick1 /media/stick2 -o site-a.tar', 'From two sticks'],
    ['join x.tar.001 -o - | docker load', 'Straight into an engine'],
  ],
  run: async ({ volume, output, verify }, session) => {
    const { signal, onProgress, report } = session
    if (output === STANDARD_STREAM) session.claimStdout()
    const { verified, ...joined } = await joinVolumes(volume, output, {
      verify,
      askForVolume: volumeAsker(session),
      signal,
      onProgress,
    })
    const where = output === STANDARD_STREAM ? 'standard output' : output
    report(
      { schema: 'stowage.join/v1', ...joined, ...verifiedDocument(verified, verifyAgain(output)) },
      `Joined ${count(joined.count, 'volume')} to ${where} (${formatSize(joined.size)})\n${verifiedText(verified, verifyAgain(output))}`,
    )
  },
})
