/** `stowage completion`: prints a script with which a shell completes the command lines of Stowage. */
import { readFile } from 'node:fs/promises'
import { StowageError } from '../errors.js'
import { PACKAGE_ROOT } from '../package-root.js'
import { command, required } from './command.js'
import { nearest } from './usage/nearest.js'

/** The script of each shell, in `completions/` of the package. */
const SCRIPTS: Readonly<Record<string, string>> = {
  bash: 'stowage.bash',
  zsh: '_stowage',
  fish: 'stowage.fish',
  powershell: 'stowage.ps1',
}
const SHELLS = Object.keys(SCRIPTS)

export const completion = command({
  operands: {
    shell: required('bash, zsh, fish or powershell', SHELLS),
  },
  examples: [
    ['completion bash > /etc/bash_completion.d/stowage', 'For all users of bash'],
    ['completion zsh > /usr/local/share/zsh/site-functions/_stowage', 'For all users of zsh'],
    ['completion fish > ~/.config/fish/completions/stowage.fish', 'For yourself in fish'],
    ['completion powershell >> $PROFILE', 'For yourself in PowerShell'],
  ],
  run: async ({ shell }, { report, signal }) => {
    const file = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined
    if (file === undefined) {
      const near = nearest(shell, SHELLS)
      throw new StowageError('INVALID_ARGUMENT', `SHELL: expected one of ${SHELLS.join(', ')} but found ${shell}`, {
        hint: near === undefined ? `Write one of ${SHELLS.join(', ')}.` : `Did you mean ${near}?`,
      })
    }
    const script = await readFile(new URL(`completions/${file}`, PACKAGE_ROOT), { encoding: 'utf8', signal })
    report({ schema: 'stowage.completion/v1', shell, script }, script)
  },
})
