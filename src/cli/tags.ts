/** `stowage tags`: lists the tags of a repository. */
import { readRegistryOptions, REGISTRY_OPTIONS } from './image-options.js'
import { command, number, required, value } from './command.js'
import { listTags } from '../registry/tags.js'
import { printable } from './render.js'

export const tags = command({
  operands: {
    repository: required('NAME or docker://NAME, without a tag'),
  },
  options: {
    semver: value('Only versions in this range: ">=1.27 <2", "~1.27", "10.0.20348.x"'),
    match: value('Only tags that match this regular expression; a group named "version" marks the version in the tag'),
    newest: number('Only this many of the newest versions'),
    ...REGISTRY_OPTIONS,
  },
  examples: [
    ['tags nginx --semver "~1.27"', 'All releases of 1.27'],
    ['tags nginx --match "^(?<version>.+)-alpine$" --newest 1', 'The newest version with that suffix'],
  ],
  run: async ({ repository, semver, match, newest, ...options }, { signal, onProgress, report, notice }) => {
    const found = await listTags(repository, {
      semver,
      match,
      newest,
      ...readRegistryOptions(options),
      signal,
      onNotice: notice,
      onProgress,
    })
    report({ schema: 'stowage.tags/v1', ...found }, printable(found.tags.map(tag => `${tag}\n`).join('')))
  },
})
