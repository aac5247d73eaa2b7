/** `stowage schema`: the form of an images file, for editors. */
import type { CommandModule } from 'yargs'
import { imagesFileSchema } from '../images-file/schema.js'
import { jsonText } from './render.js'
import { type GlobalOptions, withSession } from './session.js'

export const schema: CommandModule<GlobalOptions, GlobalOptions> = {
  builder: yargs =>
    yargs.example(
      '$0 schema > images.schema.json',
      'Then write in images.yaml: # yaml-language-server: $schema=images.schema.json',
    ),
  handler: async options => {
    await withSession(options, async ({ report }) => report(imagesFileSchema, `${jsonText(imagesFileSchema, 2)}\n`))
  },
}
