import fc from 'fast-check'
import t from 'tap'
import { COMMANDS } from '../../src/cli/commands.js'
import { parseProgram } from '../../src/cli/program.js'
import { nearest } from '../../src/cli/usage/nearest.js'
import { StowageError } from '../../src/errors.js'
import { stowage } from '../support/command.js'

t.test('stowage says what was mistyped, what was probably meant, and which command to ask', async t => {
  const cases: readonly (readonly [line: string, message: string, hint: string])[] = [
    ['pakc', '"pakc" is not a command of stowage', 'Did you mean "stowage pack"? "stowage --help" lists the commands.'],
    [
      'wim cpture',
      '"cpture" is not a command of stowage wim',
      'Did you mean "stowage wim capture"? "stowage wim --help" lists the commands.',
    ],
    [
      'from-wim a.wim',
      '"from-wim" is not a command of stowage',
      'Did you mean "stowage layer from-wim"? "stowage --help" lists the commands.',
    ],
    [
      'help lod',
      '"lod" is not a command of stowage',
      'Did you mean "stowage load"? "stowage --help" lists the commands.',
    ],
    [
      'pack a --oput b',
      '--oput is not an option of stowage pack',
      'Did you mean --output? "stowage pack --help" lists the options.',
    ],
    [
      'layer check a --strickt',
      '--strickt is not an option of stowage layer check',
      'Did you mean --strict? "stowage layer check --help" lists the options.',
    ],
    [
      'wim capture a b --compres=lzx',
      '--compres is not an option of stowage wim capture',
      'Did you mean --compress? "stowage wim capture --help" lists the options.',
    ],
    ['verify -x a', '-x is not an option of stowage verify', 'Run "stowage verify --help" for its usage.'],
    [
      'load a --progress plian',
      '--progress: expected one of auto, tty, plain, json, none but found "plian"',
      'Did you mean plain? "stowage load --help" lists the options.',
    ],
    [
      'copy a',
      'DESTINATION is missing: expected stowage copy SOURCE DESTINATION',
      'Run "stowage copy --help" for its usage.',
    ],
    [
      'source add lab',
      'LOCATION is missing: expected stowage source add NAME LOCATION',
      'Run "stowage source add --help" for its usage.',
    ],
    ['layer from-wim a.wim', '-o/--output is missing', 'Run "stowage layer from-wim --help" for its usage.'],
    ['save NanoServer', '--path is missing', 'Run "stowage save --help" for its usage.'],
    ['pack a', '-o/--output is missing', 'Name the bundle: -o DIRECTORY or -o FILE.tar; -o - is standard output.'],
    ['pack a -o', '-o/--output requires a value', 'Run "stowage pack --help" for its usage.'],
    ['pack a -qo', '-o/--output requires a value', 'Run "stowage pack --help" for its usage.'],
    ['pack a -o b --jobs x', '-j/--jobs: expected a number but found "x"', 'Run "stowage pack --help" for its usage.'],
    ['pack a -o b -j ten', '-j/--jobs: expected a number but found "ten"', 'Run "stowage pack --help" for its usage.'],
    [
      'split a b -o x.tar --volume-size 1G',
      'expected stowage split BUNDLE but also found "b"',
      'Run "stowage split --help" for its usage.',
    ],
    ['completion bsh', 'SHELL: expected one of bash, zsh, fish, powershell but found bsh', 'Did you mean bash?'],
  ]
  for (const [line, message, hint] of cases) {
    t.same(
      await stowage(line.split(' ')),
      { code: 2, stdout: '', stderr: `stowage: ${message}\nhint: ${hint}\n` },
      line,
    )
  }
})

t.test('nearest() finds what is a few changes away, and nothing where nothing is', async t => {
  const words = ['pack', 'pull', 'push', 'load', 'verify', 'output']
  for (const [word, found] of [
    ['pakc', 'pack'],
    ['verfy', 'verify'],
    ['outptu', 'output'],
    ['veri', 'verify'],
    ['PACK', 'pack'],
    ['frobnicate', undefined],
    ['', undefined],
    ['x', undefined],
  ] as const)
    t.equal(nearest(word, words), found, word)
})

t.test('whatever the command line is, no word of yargs is in the error', async t => {
  const word = fc.constantFrom(
    ...['a', 'oci:x', '-', '--', '-o', '-j', '-qo', '-x', '-jx', '--output', '--output=', '--jobs=x', '--jobs', '4'],
    ...[
      '--no-update',
      '--update=maybe',
      '--nonsense',
      '--progress',
      'loud',
      '--json',
      '--__proto__',
      '',
      'help',
      '--order=z',
    ],
  )
  let wrong = 0
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...Object.keys(COMMANDS)),
      fc.array(word, { maxLength: 4 }),
      async (command, words) => {
        try {
          await parseProgram([command, ...words])
        } catch (error) {
          if (!(error instanceof StowageError)) throw error
          wrong++
          t.notMatch(
            error.message,
            /argument|Not enough|Invalid values|Unknown|non-option/,
            [command, ...words].join(' '),
          )
          t.equal(error.code, 'INVALID_ARGUMENT')
        }
      },
    ),
    { numRuns: 400 },
  )
  t.ok(wrong > 50, `${wrong} of them were wrong`)
})
